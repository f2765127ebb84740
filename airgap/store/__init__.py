"""Stores behind `Source` and `Target`: layout directory, archive, memory, registry, container engine."""
