"""Waivers: what a file may say, and what it covers, until when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import InputError
from airgap.resources.load import load, load_waiver

SUBJECT = Digest.of(b"alpine")
TEXT = f"""\
apiVersion: airgap.openova.io/v1alpha1
kind: Waiver
metadata: {{name: alpine}}
spec:
  digests: ["{SUBJECT}"]
  checks: [signature]
  approver: Amina
  reason: compared by hand
  expires: 2026-12-24T00:00:00Z
"""
EXPIRES = datetime(2026, 12, 24, tzinfo=UTC)


def test_a_waiver_is_for_these_checks_of_these_digests_until_its_day() -> None:
    made = load_waiver(TEXT.encode())
    assert (made.name, made.approver, made.reason) == ("alpine", "Amina", "compared by hand")
    assert made.digest == Digest.of(TEXT.encode())
    assert made.covers("signature", SUBJECT)
    assert not made.covers("attestation", SUBJECT)
    assert not made.covers("signature", made.digest)
    assert not made.expired(EXPIRES - timedelta(seconds=1))
    assert made.expired(EXPIRES)
    assert load(TEXT.encode()) == (made,)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("checks: [signature]", "checks: [deny]", "spec.checks[0]: got 'deny', expected"),
        ("checks: [signature]", "checks: []", "a list of checks"),
        ("checks: [signature]", "checks: [signature, signature]", "'signature' is used twice"),
        (f'digests: ["{SUBJECT}"]', "digests: []", "a list of digests"),
        (f'digests: ["{SUBJECT}"]', "digests: [alpine]", "expected a digest"),
        (f'["{SUBJECT}"]', f'["{SUBJECT}", "{SUBJECT}"]', "is used twice"),
        ("  approver: Amina\n", "", "spec.approver: missing"),
        ("approver: Amina", 'approver: " "', "the name of the person responsible"),
        ("reason: compared by hand", 'reason: ""', "the reason for letting it pass"),
        ("  expires: 2026-12-24T00:00:00Z\n", "", "spec.expires: missing"),
        ("2026-12-24T00:00:00Z", "2026-12-24", "did you mean 2026-12-24T00:00:00Z?"),
        ("2026-12-24T00:00:00Z", "2026-12-24T00:00:00", "expected a time zone at the end"),
        ("spec:\n", "spec:\n  until: never\n", "spec.until: unknown field"),
    ],
)
def test_a_mistake_is_named(old: str, new: str, said: str) -> None:
    assert old in TEXT
    with pytest.raises(InputError) as caught:
        load_waiver(TEXT.replace(old, new).encode(), label="waiver.yaml")
    assert caught.value.code == "bad-resource"
    assert said in caught.value.what


def test_a_policy_is_no_waiver() -> None:
    with pytest.raises(InputError, match="expected a Waiver"):
        load_waiver(TEXT.replace("kind: Waiver", "kind: Trust").encode())
