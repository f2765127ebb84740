"""The kinds of content. A kind translates an upstream thing into a graph, and says in which form it arrives.

How to add one:

1. A module here, `airgap/kinds/NAME.py` or a package, with a class that inherits from `kind.Kind` and its instance
   `KIND`. `Kind` lists all that is asked of a kind, with an answer for most of it: what its items have in a lock
   (`item_fields`; a field of its own goes into `Item.more`), how a request becomes an item (`resolve`), how its graph
   is read (`source`) or made (`pack`), what digests do not fix (`check`), in which form it arrives (`form`, `expect`),
   how policies call it (`address`, `local_name`, `is_local`), and how people see it.
2. Its `KIND` in `table.py`.
3. Its tests, and its rows in docs/reference and docs/format.md.

Nothing else knows kinds: the jobs ask the table, the judge asks for `signed` and `is_local`, a destination takes forms,
and locks learn from `airgap.content.known_kinds` which fields there are. tests/unit/test_new_kind.py adds a kind and
takes it the whole way.
"""
