"""The one HTTP client: logins, redirects, retries, resuming by Range. Keeps no cookies and reads no netrc."""
