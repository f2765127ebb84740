"""What others sign: finding, reading and verifying the signatures and attestations of upstream, offline."""
