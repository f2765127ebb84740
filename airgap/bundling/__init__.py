"""Cutting a delivery: the gate that decides whether it may be cut, the evidence that it includes, the volumes."""
