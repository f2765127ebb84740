"""Deliveries in UDP datagrams: authenticated, paced, and with rows of parity. Format: docs/format.md, "UDP"."""
