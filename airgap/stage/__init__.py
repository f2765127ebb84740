"""The jobs: lock, pull, bundle, import, audit. Each reads statements and a store, and adds one statement."""
