"""Words and tables for people about locks, deliveries, verdicts and trust roots. Rendering happens
here and in `cli/`.
"""
