"""`airgap store`: what is in a store and for which lock, whether it is whole, and what may leave it."""
