"""What every room uses and what knows nothing of ours: errors, digests, strict JSON, times, durable
files, secrets, threads.
"""
