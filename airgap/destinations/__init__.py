"""Places inside a Sovereign that take forms: registry, Git server, S3, directory. None imports another.

A new destination is a folder or file here with a class that meets `base.Destination` for its form, its line in
`make.TABLE`, its section of the Sovereign resource (`airgap/resources`), its tests and its docs. Jobs speak of
destinations by `base.Destination` and `line.Line` alone, and need no change.
"""
