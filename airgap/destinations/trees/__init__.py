"""Trees of files at a destination: where they go, what is there, and the plain directory that takes them."""
