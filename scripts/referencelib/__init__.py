"""The reference of the resources, made from their schemas."""
