"""The command line: the only place that touches argv, the environment, the clock and exit codes."""
