"""Cutting a delivery: the gate that says whether it may be cut, the evidence that goes along, the volumes."""
