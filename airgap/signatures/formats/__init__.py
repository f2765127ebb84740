"""One reader for each format in which a signature is stored. A reader makes a `Signed` and verifies nothing."""
