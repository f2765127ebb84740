"""Conformance suites: what every implementation of a protocol must do, the nasty half included."""
