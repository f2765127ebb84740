"""Places inside a Sovereign: registry, Git, S3, directory. None imports another."""
