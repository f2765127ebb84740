"""The reference of commands and resources, made from the parser and the schemas."""
