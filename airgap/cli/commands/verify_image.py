"""`airgap verify-image`: whether a policy lets one image or chart in, and why."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.amounts import count
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.parser import command

if TYPE_CHECKING:
    from airgap.judgement.checks.base import Answer
    from airgap.judgement.items import FoundItem
    from airgap.judgement.judge import Judgement
    from airgap.resources.policy import Policy
    from airgap.resources.policy_rules import Require, SignedBy
    from airgap.signatures.record import VerificationResult

LAYOUTS = {
    "bundle": "Sigstore bundle",
    "simple-signing": "cosign's older signature",
    "envelope": "cosign's older attestation",
    "notation": "Notation signature",
    "buildx": "BuildKit attestation",
    "sbom": "SBOM",
    "other": "something else",
}
NEXT = {
    "absent": "ask the publisher to sign it, or allow its digest with a `digestOnly` rule or a waiver",
    "no-rule": "to allow it, add a rule for it to the policy; if a lock gives it another name, pass --as NAME",
    "renamed": "keep the upstream's name in the request, or add the name to `inside` of the rule",
    "approval-expired": "get a new approval, or ask the publisher for a signature",
    "local-source": "lock it from its registry; if the rule is meant for that folder, add `local: true` to the rule",
    "wrong-identity": "if this identity is the publisher, add it to the rule; otherwise do not allow the item",
    "wrong-key": "if this is the publisher's new key, confirm it through another channel, then add it to the policy",
    "bad-signature": "check whether the publisher has another key; otherwise do not allow the item",
    "key-not-valid": "ask the publisher for a signature by a valid key",
    "unknown-log": (
        "list the logs of the trust root with `airgap trust show`, and pin a newer trust root of the same instance"
    ),
    "unsupported-algorithm": (
        "name the hash and the padding that the publisher documents at the key in the policy; or ask the publisher for "
        "ECDSA P-256 or RSA with SHA-256"
    ),
    "unsupported-format": "ask the publisher for a cosign signature",
    "bad-sbom": "ask the publisher for an SBOM of this artifact",
    "unsigned": "ask the publisher to sign it: `cosign attest`",
}
DO_NOT = "do not allow the item until you know the reason"


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "verify-image",
        run,
        summary="show whether a policy lets one image or chart in, and why; reads only manifests and signatures",
        examples="""
airgap verify-image ghcr.io/acme/app:1.0 --policy platform.policy.yaml
airgap verify-image oci:layout:ghcr.io/acme/app:1.0 --policy platform.policy.yaml
airgap verify-image ghcr.io/acme/app:1.0 --policy p.yaml --lock platform.lock.json --store /srv/store
airgap verify-image harbor.bank/github/acme/app:1.0 --as ghcr.io/acme/app --policy p.yaml --upstreams u.yaml""",
    )
    parser.add_argument(
        "ref",
        metavar="REF",
        help="a registry reference, oci:DIR[:NAME] or oci-archive:FILE[:NAME]; with --lock, the name of an item",
    )
    parser.add_argument(
        "--policy",
        type=Path,
        required=True,
        metavar="FILE",
        help="Policy resource: the rules for what may come in",
    )
    parser.add_argument(
        "--as",
        dest="known_as",
        default="",
        metavar="NAME",
        help="name to match against policy rules, if the image is stored under another name",
    )
    parser.add_argument("--lock", type=Path, metavar="LOCK", help="judge the item as this lock pins it")
    parser.add_argument("--store", type=Path, metavar="DIR", help="read the item from this store; requires --lock")
    parser.add_argument("--upstreams", type=Path, metavar="FILE", help="Upstreams resource: how to reach each host")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap verify-image`."""
    from airgap.jobs.verify_image import VerifyImageOptions, verify_image

    if arguments.store and not arguments.lock:
        arguments.parser.error(
            "--store requires --lock", ("pass --lock too: a store does not record what is attached to an item")
        )
    if arguments.known_as and arguments.lock:
        arguments.parser.error("--as cannot be combined with --lock", "leave --as out: the lock gives the item's name")
    options = VerifyImageOptions(
        ref=arguments.ref,
        policy=arguments.policy,
        known_as=arguments.known_as,
        lock=arguments.lock,
        store=arguments.store,
        upstreams=arguments.upstreams,
    )
    found = verify_image(options, context.surroundings(arguments))
    policy, made = found.policy, found.judgement
    document = {
        "ref": options.ref,
        "policy": {"name": policy.name, "digest": str(policy.digest)},
        "trustRoots": [{"name": one.name, "digest": str(one.digest)} for one in policy.trust_roots],
        "attached": [one.as_dict() for one in found.case.item.attached],
        **made.as_dict(),
    }
    context.result(document, list(_lines(found.case, policy, made)))
    return exits.DONE if made.passed else exits.NO


def _lines(case: FoundItem, policy: Policy, made: Judgement) -> Iterator[str]:
    """The item, the findings, the questions and the answer."""
    yield case.item.name
    if made.root is not None:
        yield f"  {made.kind} {made.root}"
    yield from _found(case, made)
    yield from _asked(policy, made)
    if made.passed:
        unasked = "" if policy.findings is None else " as far as signatures go; what is in it, `airgap scan` says"
        yield f"answer: yes, the policy lets it in{unasked}"
        return
    yield f"answer: NO: {made.detail} [{made.reason}]"
    yield f"  next: {NEXT.get(made.reason, DO_NOT)}"


def _found(case: FoundItem, made: Judgement) -> Iterator[str]:
    """Everything that was examined, numbered."""
    attached = case.item.attached
    if not made.findings:
        said = f"{count(len(attached), 'thing')} attached, not examined" if attached else "nothing attached"
        yield f"found: {said}"
        return
    yield "found:"
    for number, finding in enumerate(made.findings, 1):
        about = "" if finding.subject == made.root else f", on {finding.subject}"
        yield f"  {number}. {_what(finding)}, {finding.where}{about}"
        yield f"     {_verdict(finding)}"
    subjects = {finding.subject for finding in made.findings}
    more = sum(one.subject not in subjects for one in attached)
    if more:
        yield f"  and {count(more, 'thing')} attached to its other manifests, which the rule does not ask about"


def _what(finding: VerificationResult) -> str:
    kind = LAYOUTS[finding.layout]
    if finding.predicate_type:
        return f"attestation {finding.predicate_type} ({kind})"
    return f"signature ({kind})" if finding.verified else kind


def _verdict(finding: VerificationResult) -> str:
    from airgap.signatures.explain import signer_text

    if finding.verified:
        return f"valid: {signer_text(finding)}"
    if finding.reason in ("not-a-signature", "wrong-predicate-type"):
        return "not asked for"
    return f"does not count: {finding.detail} [{finding.reason}]"


def _asked(policy: Policy, made: Judgement) -> Iterator[str]:
    """The rule's questions, each with its answer. A yes gives the number of the finding."""
    rule = next((one for one in policy.rules if one.label == made.rule), None)
    yield f"asked: policy {policy.name!r} ({policy.digest}), {made.rule or 'no rule matches'}"
    if rule is None or rule.require is None:
        yield from (f"  {check.detail}" for check in made.answers if check.outcome == "pass")
        return
    name = rule.require.trust_root
    yield from (f"  trust root {name!r} ({one.digest})" for one in policy.trust_roots if one.name == name)
    for check in made.answers:
        about = "" if check.subject == made.root else f" of {check.subject}"
        yield f"  {_question(check, rule.require)}{about}: {_answer(check, made)}"


def _question(check: Answer, require: Require) -> str:
    if check.check == "signature":
        return f"signature by {_by(require.by)}"
    if not check.predicate_type:
        return check.check
    wanted = next(one for one in require.attestations if one.predicate_type == check.predicate_type)
    content = ", with packages listed," if wanted.content else ""
    return f"attestation {wanted.predicate_type}{content} by {_by(wanted.by)}"


def _answer(check: Answer, made: Judgement) -> str:
    if check.outcome == "pass":
        return f"yes ({made.findings.index(check.finding) + 1})" if check.finding in made.findings else "yes"
    return f"no [{check.reason}]"


def _by(by: SignedBy) -> str:
    names = [f"key {key.name!r}" for key in by.keys]
    names += [f"{one.identity or one.pattern} (issuer {one.issuer or one.issuer_pattern})" for one in by.signers]
    return " or ".join(names)
