"""Resources in the style of Kubernetes: Request, Upstreams, Sovereign, Trust, Policy, Waiver,
Station.

One module for each kind of resource declares its fields (`fields`). `catalog` lists these kinds. `scripts/reference`
makes the JSON Schemas in `schemas` from the declarations. `load` reads YAML, and reports each mistake with file, line
and column.
"""
