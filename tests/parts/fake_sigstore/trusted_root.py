"""The instance's trusted root: what a verifier is given to know it by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography import x509

from .ca import Authority, CtLog, listed
from .keys import KEY_DETAILS, b64, kind_of, spki
from .logs import RekorV1, RekorV2
from .tsa import TimeStamper

MEDIA_TYPE = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"


@dataclass(frozen=True, slots=True)
class Window:
    """When an instance counts, both ends inclusive; without an end it goes on."""

    start: datetime
    end: datetime | None = None

    def spelled(self) -> dict[str, str]:
        """As `validFor`."""
        made = {"start": stamp(self.start)}
        if self.end:
            made["end"] = stamp(self.end)
        return made


@dataclass(frozen=True, slots=True)
class Contents:
    """What a root lists, each with its window."""

    authorities: Sequence[tuple[Authority, Window]] = ()
    logs: Sequence[tuple[RekorV1 | RekorV2, Window]] = ()
    ct_logs: Sequence[tuple[CtLog, Window]] = ()
    stampers: Sequence[tuple[TimeStamper, Window]] = ()
    more: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The root as JSON."""
        return {
            "mediaType": MEDIA_TYPE,
            "tlogs": [log(f"https://{each.host}", each, when) for each, when in self.logs],
            "certificateAuthorities": [
                authority("https://ca.fake.example", each.chain, when) for each, when in self.authorities
            ],
            "ctlogs": [log("https://ct.fake.example/log", each, when) for each, when in self.ct_logs],
            "timestampAuthorities": [
                authority("https://tsa.fake.example/api/v1/timestamp", each.chain, when) for each, when in self.stampers
            ],
            **self.more,
        }


def stamp(at: datetime) -> str:
    """A time as protobuf's JSON spells it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def log(url: str, each: RekorV1 | RekorV2 | CtLog, when: Window) -> dict[str, Any]:
    """One log of either kind."""
    return {
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": b64(spki(each.key)),
            "keyDetails": KEY_DETAILS[kind_of(each.key)],
            "validFor": when.spelled(),
        },
        "logId": {"keyId": b64(each.log_id)},
    }


def authority(uri: str, chain: tuple[x509.Certificate, ...], when: Window) -> dict[str, Any]:
    """An authority of certificates or of time stamps: its chain down to the root."""
    subject = {"organization": "fake.example", "commonName": "fake"}
    return {
        "subject": subject,
        "uri": uri,
        "certChain": listed(chain),
        "validFor": when.spelled(),
    }
