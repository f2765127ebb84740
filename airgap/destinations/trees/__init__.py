"""Trees of files at a destination: where they go, what is present, and the plain directory as a destination."""
