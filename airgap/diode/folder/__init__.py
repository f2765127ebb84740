"""Deliveries over a folder that a box copies one way: it may reorder, delay, repeat, drop, cut and rename files."""
