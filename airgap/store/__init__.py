"""Stores behind `Source` and `Target`: layout directory, memory, registry, delivery volumes."""
