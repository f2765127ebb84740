"""The use cases: one a command, each callable from Python without the command line."""
