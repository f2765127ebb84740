"""The trust roots of Sigstore instances: reading them, keeping their versions, updating them with TUF."""
