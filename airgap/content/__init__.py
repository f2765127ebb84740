"""The vocabulary of content: graphs of blobs, locks, the three forms, references, platforms, and
`copy_graph`, the one mover.
"""
