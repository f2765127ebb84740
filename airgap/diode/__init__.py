"""One-way roads for deliveries: UDP through a data diode, TCP proxies, pipes, serial lines, folders that are copied.

Nothing ever comes back. `inbox` is the receiving end of every road.
"""
