"""What people write, in Kubernetes' manner: Request, Upstreams, Sovereign, Trust, Policy, Waiver.

A file for each kind declares its fields (`fields`); `catalog` lists the kinds; `schemas` has the JSON Schemas that
`scripts/reference` makes from them; `load` reads YAML and answers a mistake with file, line and column.
"""
