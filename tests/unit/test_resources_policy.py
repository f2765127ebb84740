"""Policies as values, and the patterns in them. Mistakes and their words: tests/golden/resources/policy.txt."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import InputError, TrustError
from airgap.content.names import RuleNames
from airgap.judgement.items import open_policy
from airgap.resources.load import load_policy
from airgap.resources.patterns import check_pattern, name_covers, name_matches, pattern_matches
from tests.parts.fake_sigstore import FakeSigstore, keys, public_pem

MANIFESTS = Path(__file__).parents[2] / "manifests"
HEAD = "apiVersion: airgap.openova.io/v1alpha1\nkind: Policy\nmetadata: {name: p}\n"
KEY = "  keys: [{name: k, publicKeyFile: k.pub}]\n"
EXPIRES = "expires: 2036-01-01T00:00:00Z"
DENY = "  rules: [{match: [x], deny: {reason: r}}]\n"
GITHUB = r"^https://github\.com/acme/[^/]+/\.github/workflows/release\.yml@refs/tags/v[0-9]+\.[0-9]+\.[0-9]+(?:-rc\.[0-9]+)?$"


def test_the_example_in_the_repository_loads() -> None:
    policy, roots = open_policy(MANIFESTS / "platform.policy.yaml")
    assert policy.rules
    assert policy.keys
    assert roots == {}
    assert policy.digest == Digest.of((MANIFESTS / "platform.policy.yaml").read_bytes())


def test_a_policy_holds_the_bytes_of_all_that_it_names(tmp_path: Path) -> None:
    root = FakeSigstore().trusted_root()
    (tmp_path / "root.json").write_bytes(root)
    (tmp_path / "k.pub").write_bytes(public_pem(keys.private_key("k")))
    pin = hashlib.sha256(root).hexdigest()
    root_line = f"  trustRoots: [{{name: s, file: root.json, sha256: {pin}}}]\n"
    text = f"{HEAD}spec:\n{root_line}{KEY}{DENY}"
    (tmp_path / "p.yaml").write_text(text)
    policy, roots = open_policy(tmp_path / "p.yaml")
    assert (policy.trust_roots[0].data, policy.keys[0].pem) == (
        root,
        (tmp_path / "k.pub").read_bytes(),
    )
    assert (policy.raw, roots["s"].digest) == (text.encode(), Digest(f"sha256:{pin}"))
    (tmp_path / "root.json").write_bytes(root + b"\n")
    with pytest.raises(TrustError) as caught:
        open_policy(tmp_path / "p.yaml")
    assert caught.value.code == "trust-root-changed"


def test_a_key_that_would_never_verify_is_refused_when_the_policy_is_opened(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    (tmp_path / "k.pub").write_bytes(public_pem(rsa.generate_private_key(65537, 1024)))
    (tmp_path / "p.yaml").write_text(f"{HEAD}spec:\n{KEY}{DENY}")
    with pytest.raises(InputError, match="key 'k': got RSA with 1024 bits") as caught:
        open_policy(tmp_path / "p.yaml")
    assert caught.value.code == "bad-public-key"


def test_what_a_rule_leaves_out(tmp_path: Path) -> None:
    (tmp_path / "k.pub").write_bytes(public_pem(keys.private_key("k")))
    rule = "  rules: [{match: [a, b], require: {keys: [k], attestations: [{predicateType: 'https://t'}]}}]\n"
    text = f"{HEAD}spec:\n{KEY}{rule}"
    policy = load_policy(text.encode(), base_dir=tmp_path)
    (made,) = policy.rules
    assert made.require is not None
    assert (made.label, made.kinds, made.require.subjects) == ("rule 1 (a and 1 more)", (), "root")
    assert made.require.attestations[0].by == made.require.by
    assert policy.choose("image", RuleNames("b", (("b",),))).rule is made
    assert policy.choose("image", RuleNames("c", (("c",),))).rule is None


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("ghcr.io/acme/*", "ghcr.io/acme/app", True),
        ("ghcr.io/acme/*", "ghcr.io/acme/team/app", False),
        ("ghcr.io/acme/**", "ghcr.io/acme/team/app", True),
        ("ghcr.io/acme/*", "ghcr.io/acme-evil/app", False),
        ("ghcr.io/acme/bp-*", "ghcr.io/acme/bp-x", True),
        ("ghcr.io/acme/bp-*", "ghcr.io/acme/x-bp-x", False),
        ("ghcr.io/acme", "ghcrxio/acme", False),
        ("ghcr.io/acme", "ghcr.io/acme\n", False),
        ("**/app", "ghcr.io/acme/app", True),
        ("**", "anything/at/all", True),
        ("GHCR.io/acme", "ghcr.io/acme", False),
    ],
)
def test_a_name_fits_whole_or_not_at_all(pattern: str, name: str, *, fits: bool) -> None:
    assert name_matches(pattern, name) is fits


@pytest.mark.parametrize(
    ("wide", "narrow", "covers"),
    [
        ("**", "**", True),
        ("**", "ghcr.io/*/x-*", True),
        ("ghcr.io/**", "ghcr.io/acme/**", True),
        ("ghcr.io/*", "ghcr.io/acme", True),
        ("ghcr.io/*", "ghcr.io/a*b", True),
        ("ghcr.io/*/*", "ghcr.io/**", False),
        ("**/**", "**", False),
        ("*", "**", False),
        ("ghcr.io/acme", "ghcr.io/*", False),
        ("ghcr.io/acme/**", "ghcr.io/**", False),
        ("a*", "*a", False),
    ],
)
def test_a_pattern_covers_another(wide: str, narrow: str, *, covers: bool) -> None:
    assert name_covers(wide, narrow) is covers


def test_a_rule_is_reachable_by_one_kind_or_one_name(tmp_path: Path) -> None:
    deny = "deny: {reason: r}"
    rules = [
        f"{{match: ['**'], kinds: [git, model], {deny}}}",
        f"{{match: ['**'], kinds: [file, git], {deny}}}",
        f"{{match: ['a/*', 'b/*'], {deny}}}",
        f"{{match: ['a/**'], {deny}}}",
    ]
    text = HEAD + "spec:\n  rules:\n" + "".join(f"  - {rule}\n" for rule in rules)
    assert len(load_policy(text.encode(), base_dir=tmp_path).rules) == 4
    # Two rules above may take it together.
    dead = f"  - {{match: ['x'], kinds: [file, model], {deny}}}\n"
    with pytest.raises(InputError, match="'x' never decides: rule 2"):
        load_policy((text + dead).encode(), base_dir=tmp_path)


@pytest.mark.parametrize(
    "pattern",
    [
        GITHUB,
        r"^https://github\.com/acme/.*/\.github/workflows/.*@refs/tags/v.*$",
        r"^(?:alice|bob)@example\.org$",
        r"^[a-z]+@acme\.com$",
        r"^https://a/\\\$$",
        r"^a{2,3}b?$",
    ],
)
def test_patterns_that_say_who_it_is(pattern: str) -> None:
    assert check_pattern(pattern) is None


@pytest.mark.parametrize(
    "pattern",
    [
        "abc", "^abc", "abc$", r"^a\$", "", "^", "$", "^$", "^()$",
        "^a|b$", "^(?:a|b)|c$",
        "^.*$", "^.+$", "^https://.*$", "^[^/]+@[^/]+$", "^[a-z]*$",
        "^(a+)+$", "^(a|a)*b$", "^((a)?)*b$", "^x(?:a*b)+$", "^.*.*.*.*x$", "^a?a?a?a?a?a?a?aaaaaaa$",
        "^x(?:a|a)(?:a|a)(?:a|a)(?:a|a)(?:a|a)(?:a|a)(?:a|a)b$",
        "^(?i)a$", "^a(?=b)$", "^(?P<x>a)$", r"^(a)\1$", r"^a\b$", r"^a\Z$", "^a+?b$", "^a++b$",
        "^a(b$", "^a)b$", "^[a$", "^a**$", "^*a$", "^a{2}{3}$", "^a{,3}$", "^a$b$", "^a^b$", "^[z-a]$",
        "^" + "a" * 500 + "$",
    ],
)  # fmt: skip
def test_patterns_that_are_refused(pattern: str) -> None:
    assert check_pattern(pattern)


def test_an_identity_fits_whole_or_not_at_all() -> None:
    good = "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1.2.3"
    assert pattern_matches(GITHUB, good)
    assert pattern_matches(GITHUB, f"{good}-rc.1")
    for wrong in (
        f"{good}\n",
        f"x{good}",
        f"{good}x",
        good.replace("github.com", "githubXcom"),
        good.upper(),
    ):
        assert not pattern_matches(GITHUB, wrong)
    assert not pattern_matches("^.*a$", "a" * 501)


@pytest.mark.parametrize(
    "worst",
    [
        "^.*a.*a.*a(?:a|a)(?:a|a)(?:a|a)b$",
        "^" + ("(?:" + "a|" * 20 + "a)") * 6 + ".*.*.*b$",
        "^a{0,600}a{0,600}a{0,600}b$",
    ],
)
def test_a_hostile_identity_is_answered_soon(worst: str) -> None:
    assert check_pattern(worst) is None
    begun = time.monotonic()
    assert not pattern_matches(worst, "a" * 499 + "c")
    assert time.monotonic() - begun < 5  # seconds where it takes 0.1; `re` takes minutes to years


def test_a_hostile_name_is_answered_soon() -> None:
    begun = time.monotonic()
    for pattern in ("**a**a**a**b", "*a*a*a*a*a*a*a*b", "**a*a**a*a**a*b"):
        assert not name_matches(pattern, "a" * 4000)
    assert time.monotonic() - begun < 5  # seconds where it takes 0.1; `re` takes hours


def test_a_pattern_with_too_many_repetitions_is_refused() -> None:
    assert "more than 2000 characters" in (check_pattern("^(?:abc){700}$") or "")
    assert check_pattern("^(?:abc){600}$") is None


HUB = RuleNames("huggingface.co/lab/x", (("lab/x", "huggingface.co/lab/x"),))
RENAMED = RuleNames("huggingface.co/lab/x", (("BAAI/y", "huggingface.co/BAAI/y"),))
LOCAL = RuleNames("", (("lab/x", "huggingface.co/lab/x"),))
TOOL = RuleNames("get.example/tool", (("tools/v1",),))
LABEL = RuleNames("ghcr.io/lab/x", (("ghcr.io/lab/x",), ("docker.io/library/nginx",)))


@pytest.mark.parametrize(
    ("names", "answer", "rules"),
    [
        # Its own name: a rule for the rest of the world does not take it away.
        (HUB, "1", ["huggingface.co/lab/*", "deny **"]),
        (HUB, "1 deny", ["deny lab/*", "huggingface.co/**"]),
        (HUB, "1 case", ["huggingface.co/Lab/*", "**"]),
        (HUB, "none", ["lab/*"]),
        # Another's name: only where the rule says so, or is for everything and the first to speak of it.
        (RENAMED, "1 renamed", ["huggingface.co/lab/*"]),
        (RENAMED, "1 renamed", ["huggingface.co/**"]),
        (RENAMED, "1 renamed", ["huggingface.co/lab/*", "deny **"]),
        (RENAMED, "1", ["huggingface.co/lab/* as BAAI/*", "deny huggingface.co/BAAI/*"]),
        (RENAMED, "1", ["huggingface.co/lab/* as huggingface.co/BAAI/*"]),
        (RENAMED, "1 renamed", ["huggingface.co/lab/* as BAAI/z"]),
        (RENAMED, "1 deny", ["deny huggingface.co/BAAI/*", "huggingface.co/lab/* as **"]),
        (RENAMED, "1 deny", ["deny baai/*", "**"]),
        (RENAMED, "1", ["**"]),
        (RENAMED, "1 renamed", ["** as lab/*"]),
        (RENAMED, "2 renamed", ["huggingface.co/BAAI/*", "**"]),
        (TOOL, "1 renamed", ["get.example/**"]),
        (TOOL, "1", ["get.example/** as tools/**", "deny **"]),
        (LABEL, "1 renamed", ["ghcr.io/lab/*"]),
        (LABEL, "2 renamed", ["docker.io/library/*", "**"]),
        # A local one has the name that it gets; what the upstream calls it counts against a rule for everything.
        (LOCAL, "1", ["lab/*", "huggingface.co/**"]),
        (LOCAL, "2", ["huggingface.co/**", "lab/*"]),
        (LOCAL, "1", ["huggingface.co/lab/*", "**"]),
        (LOCAL, "1 deny", ["deny huggingface.co/lab/*", "lab/*"]),
        (LOCAL, "none", ["huggingface.co/**"]),
    ],
)
def test_where_it_comes_from_and_what_it_becomes(names: RuleNames, answer: str, rules: list[str]) -> None:
    lines = ""
    for rule in rules:
        match, _, inside = rule.removeprefix("deny ").partition(" as ")
        who = "deny: {reason: r}" if rule.startswith("deny") else f"digestOnly: {{approver: a, reason: r, {EXPIRES}}}"
        lines += f"  - {{match: ['{match}'], {f'inside: [{inside!r}], ' if inside else ''}{who}}}\n"
    made = load_policy(f"{HEAD}spec:\n  rules:\n{lines}".encode()).choose("model", names)
    said = "none" if made.rule is None else f"{made.rule.number}{' deny' if made.rule.deny else ''}"
    assert said + (" case" if made.other_case else "") + (" renamed" if made.renamed else "") == answer
