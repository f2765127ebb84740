"""What people write, in Kubernetes' manner: Request, Upstreams, Sovereign, Trust.

`model` has the types, `schemas` the JSON Schemas, `load` reads YAML and answers a mistake with file, line and column.
"""
