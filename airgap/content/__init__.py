"""The vocabulary of content: graphs of blobs, locks, the three forms, references, platforms.

`copy_graph` is the only code that copies content.
"""
