"""Benchmarks: ratios to a bare loop on the same blobs in the same run. See docs/performance.md."""
