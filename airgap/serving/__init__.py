"""A read-only registry of what a `Source` has: `catalog` knows the names, `answers` the protocol, `server` the sockets.

Source: OCI distribution-spec v1.1, the workflows "Pull" and "Content discovery".
"""
