"""What airgap signs: in-toto statements in DSSE envelopes, their bodies, the Trust resource that says
whose count, and the log.
"""
