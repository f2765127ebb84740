"""The keys that sign airgap's statements: PEM files, cosign's files, PKCS#11 tokens."""
