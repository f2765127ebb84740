"""HTTP: one session with our rules (no netrc, no cookies, no token across a redirect), retries, resume by Range."""
