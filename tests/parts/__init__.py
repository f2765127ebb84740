"""Starters for the real parts that tests run against.

    need         which parts are here; a test without its part is skipped, or fails where all are due
    process      programs started on free loopback ports, and ended by process id
    registry     CNCF distribution 2.8 and 3.1, with every kind of login; tokens, tls
    s3           MinIO and SeaweedFS
    gitea        Gitea; git_http: plain Git over HTTP with LFS
    engine       a local engine's API
    hugging_face an endpoint of the shape that the real hub client talks to
    fault_proxy  a proxy that breaks connections on order
    images       hand-made images; debian: real ones out of Debian packages
    system       network namespaces without a route, disks that are soon full

`fixtures` makes pytest fixtures of them. None of it imports the code under test.
"""
