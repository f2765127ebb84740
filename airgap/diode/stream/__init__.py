"""Deliveries in frames, over whatever carries a stream of bytes one way: TCP, a pipe, a serial line, a file."""
