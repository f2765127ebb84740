"""Benchmarks: ratios to a bare loop on the same blobs in the same rounds. See docs/performance.md."""
