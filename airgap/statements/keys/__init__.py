"""The keys that sign our statements: PEM files, cosign's files, PKCS#11 tokens."""
