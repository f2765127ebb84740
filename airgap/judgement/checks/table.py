"""The checks of the judge, in the order in which they are asked."""

from __future__ import annotations

from airgap.judgement.checks.attestation import AttestationCheck
from airgap.judgement.checks.base import Check
from airgap.judgement.checks.deny import DenyCheck
from airgap.judgement.checks.digest_only import DigestOnlyCheck
from airgap.judgement.checks.findings import FindingsCheck
from airgap.judgement.checks.rule import RuleCheck
from airgap.judgement.checks.signature import SignatureCheck

CHECKS: tuple[Check, ...] = (
    DenyCheck(),
    RuleCheck(),
    SignatureCheck(),
    AttestationCheck(),
    DigestOnlyCheck(),
    FindingsCheck(),
)
