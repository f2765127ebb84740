"""The statements that airgap signs: in-toto statements in DSSE envelopes, their bodies, the rules of the Trust resource
that say which signatures count, and the log.
"""
