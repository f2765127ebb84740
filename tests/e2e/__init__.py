"""End to end, against real parts."""
