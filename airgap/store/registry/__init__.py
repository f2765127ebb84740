"""A registry as a store: one repository is one `Source` and `Target`."""
