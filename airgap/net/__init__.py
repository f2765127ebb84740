"""The one HTTP client: logins, redirects, retries, resuming by Range. It keeps no cookies and reads no netrc."""
