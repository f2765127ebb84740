"""The places inside a Sovereign that accept content: registry, Git server, S3, directory. None imports another.

A new destination is a folder or file here with a class that implements `base.Destination` for its form, a line in
`make.TABLE`, a section of the Sovereign resource (`airgap/resources`), tests and docs. Jobs use destinations only
through `base.Destination` and `line.Line`, and need no change.
"""
