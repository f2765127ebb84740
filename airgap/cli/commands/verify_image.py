"""`airgap verify-image`: what a policy says about one artifact, and why, in words."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.parser import command
from airgap.cli.words import count

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
    "absent": "ask the publisher to sign it; or let its digest in, by a `digestOnly` rule or a waiver",
    "no-rule": "if it may come in, write a rule for it; if a lock gives it another name, ask with --as NAME",
    "approval-expired": "have it approved again, or ask the publisher for a signature",
    "local-source": "lock it from its registry; or, if the rule means that folder, write `local: true` into it",
    "wrong-identity": "if that is the publisher, write the identity into the rule; else do not let it in",
    "wrong-key": "if it is the publisher's new key, check it another way and write it into the policy",
    "bad-signature": "look whether the publisher has another key; else do not let it in",
    "key-not-valid": "ask the publisher for a signature by a key that is valid",
    "unknown-log": "`airgap trust show` lists the logs of a root; bring a newer root of the same instance",
    "unsupported-algorithm": "ask the publisher for ECDSA P-256 or RSA with SHA-256",
    "unsupported-format": "ask the publisher for a cosign signature",
    "bad-sbom": "ask the publisher for an SBOM of this artifact",
    "unsigned": "ask the publisher to sign it: `cosign attest`",
}
DO_NOT = "do not let it in before you know why"


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "verify-image",
        run,
        summary="say what a policy thinks of one image or chart, and why; reads manifests and signatures only",
        examples="""
airgap verify-image ghcr.io/acme/app:1.0 --policy platform.policy.yaml
airgap verify-image oci:layout:ghcr.io/acme/app:1.0 --policy platform.policy.yaml
airgap verify-image ghcr.io/acme/app:1.0 --policy p.yaml --lock platform.lock.json --store /srv/store
airgap verify-image harbor.bank/github/acme/app:1.0 --as ghcr.io/acme/app --policy p.yaml --upstreams u.yaml""",
    )
    parser.add_argument(
        "ref",
        metavar="REF",
        help="a registry's reference, oci:DIR[:NAME] or oci-archive:FILE[:NAME]; with --lock an item's name",
    )
    parser.add_argument(
        "--policy",
        type=Path,
        required=True,
        metavar="FILE",
        help="Policy resource: what may come in",
    )
    parser.add_argument(
        "--as",
        dest="known_as",
        default="",
        metavar="NAME",
        help="the name that rules are asked for, where it lies under another one",
    )
    parser.add_argument("--lock", type=Path, metavar="LOCK", help="take the item as this lock has it")
    parser.add_argument("--store", type=Path, metavar="DIR", help="read it from this store; needs --lock")
    parser.add_argument("--upstreams", type=Path, metavar="FILE", help="Upstreams resource: how hosts are reached")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap verify-image`."""
    from airgap.jobs.verify_image import VerifyImageOptions, verify_image

    if arguments.store and not arguments.lock:
        arguments.parser.error("--store needs --lock", "a store's names do not tell what is attached")
    if arguments.known_as and arguments.lock:
        arguments.parser.error("--as and --lock exclude each other", "the lock says what the item is")
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
    context.result(document, "\n".join(_lines(found.case, policy, made)))
    return exits.DONE if made.passed else exits.NO


def _lines(case: FoundItem, policy: Policy, made: Judgement) -> Iterator[str]:
    """What it is, what was found, what was asked, the answer."""
    yield case.item.name
    if made.root is not None:
        yield f"  {made.kind} {made.root}"
    yield from _found(case, made)
    yield from _asked(policy, made)
    if made.passed:
        yield "answer: yes, it may come in"
        return
    yield f"answer: NO: {made.detail} [{made.reason}]"
    yield f"  next: {NEXT.get(made.reason, DO_NOT)}"


def _found(case: FoundItem, made: Judgement) -> Iterator[str]:
    """Everything that was looked at, with a number."""
    attached = case.item.attached
    if not made.findings:
        said = f"{count(len(attached), 'thing')} attached, not looked at" if attached else "nothing attached"
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
        yield f"  and {count(more, 'thing')} on other manifests of it, which the rule does not ask about"


def _what(finding: VerificationResult) -> str:
    kind = LAYOUTS[finding.layout]
    if finding.predicate_type:
        return f"attestation {finding.predicate_type} ({kind})"
    return f"signature ({kind})" if finding.verified else kind


def _verdict(finding: VerificationResult) -> str:
    from airgap.signatures.explain import signer_text

    if finding.verified:
        return f"good: {signer_text(finding)}"
    if finding.reason in ("not-a-signature", "wrong-predicate-type"):
        return "not asked for"
    return f"does not count: {finding.detail} [{finding.reason}]"


def _asked(policy: Policy, made: Judgement) -> Iterator[str]:
    """The rule's questions, each with its answer. A yes names the finding by its number."""
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
    content = ", with packages in it," if wanted.content else ""
    return f"attestation {wanted.predicate_type}{content} by {_by(wanted.by)}"


def _answer(check: Answer, made: Judgement) -> str:
    if check.outcome == "pass":
        return f"yes ({made.findings.index(check.finding) + 1})" if check.finding in made.findings else "yes"
    return f"no [{check.reason}]"


def _by(by: SignedBy) -> str:
    names = [f"key {key.name!r}" for key in by.keys]
    names += [f"{one.identity or one.pattern} (issuer {one.issuer})" for one in by.signers]
    return " or ".join(names)
