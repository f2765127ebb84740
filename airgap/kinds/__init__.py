"""The kinds of content. A kind translates an upstream thing into a graph, and says in which form it arrives.

How to add one:

1. A module here, `airgap/kinds/NAME.py` or a package, with

   - a dataclass for an entry of a Request, whose fields say how they are written (`airgap.resources.fields`), with at
     least `name` and `where`: schema, reader and reference of the entry come from it;
   - a class that inherits from `kind.Kind`, and its instance `KIND`. `Kind` lists all that is asked of a kind, with an
     answer for most of it: the list in a Request (`section`, `request`), what its items have in a lock (`item_fields`;
     a field that `Item` does not have is kept in `Item.more`, and `check_item` checks it), how a request becomes an
     item (`resolve`), how the graph is read (`source`) or made (`pack`), what digests do not fix (`check`), in which
     form it arrives (`form`, `expect`), what scanners are given (`subjects`), how policies call it (`is_local`,
     `source_complaint`, `address`, `inside`, `upstream`), and what people are told (`notes`, `shown`, `identity`,
     `changed`).

2. Its `KIND` in `table.py`.
3. Its tests, its row in docs/format.md, an example in the Request's reference (`airgap.resources.request`), and the
   schemas and reference made again.

Nothing else knows kinds by their names: the jobs and the judge ask the table, a destination takes forms, and locks,
requests and policies learn from `airgap.content.known_kinds` which kinds there are. tests/e2e/test_new_kind.py adds a
kind and takes it the whole way. What has several forms, such as a graph and Git refs, is no item but a name for some:
`Kind.parts` gives a request for each.
"""
