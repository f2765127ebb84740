"""The use cases: one per command, each callable from Python without the command line."""
