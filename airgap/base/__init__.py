"""What every room uses: errors, digests, strict JSON, times, durable files, secrets, threads.

This room knows nothing about airgap's own concepts.
"""
