"""Layers and archives that misbehave when they are unpacked: bombs, paths that leave, devices, setuid, disguises."""
