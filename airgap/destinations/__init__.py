"""Places inside a Sovereign that take forms: registry, Git server, S3, directory. None imports another."""
