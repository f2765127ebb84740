"""age files: encrypting what crosses the gap, and reading it in place. Format: age-encryption.org/v1.

Writing is pyrage's work. Reading is our own: it decrypts single chunks of a volume, so that nothing is unpacked.
"""
