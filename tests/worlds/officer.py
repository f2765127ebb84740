"""A security-officer at a site, who looks at a prune plan and approves exactly that."""

from __future__ import annotations

from tests.worlds.row import Row

_OFFICER = """\
  - name: officer
    role: security-officer
    publicKeyFile: officer.pub
    notBefore: 2026-01-01T00:00:00Z
    notAfter: 2036-01-01T00:00:00Z
  require:"""


def with_officer(row: Row) -> None:
    """Adds the officer's key to the site and its Trust resource."""
    row.site.run("keys", "generate", "officer")
    trust = row.folder / "trust.yaml"
    trust.write_text(trust.read_text().replace("  require:", _OFFICER))


def approve(row: Row, plan: str = "prune.json") -> None:
    """Shows the plan, and signs what was shown."""
    seen = row.site.run("sign", plan, "--trust", "trust.yaml", "--dry-run")
    assert seen["seen"]["approves"] == {"kind": "prune", "sovereign": "bank"}
    row.site.run("sign", plan, "--trust", "trust.yaml", "--key", "officer.key", "--digest", seen["subject"])
