"""What a file is, by its content, and the sentence about a file that is not what was expected."""

from __future__ import annotations

import pytest

from airgap.base.digest import Digest
from airgap.base.known_files import STATEMENTS, identified, not_expected, recognized
from airgap.statements.approval import Approval
from airgap.statements.dsse import sign_payload
from airgap.statements.statement import KINDS
from tests.worlds.trust import signer, statement

VERSION = "airgap.openova.io/v1alpha1"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", ""),
        (b"anything", ""),
        (b"kind: Trust\n", ""),
        (b"{", ""),
        (b'{"kind": "Lock"}', ""),
        (b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n", "a private key"),
        (b"-----BEGIN EC PRIVATE KEY-----\n", "a private key"),
        (b"-----BEGIN PUBLIC KEY-----\n", "a public key"),
        (b"text before\n-----BEGIN CERTIFICATE-----\n", "a certificate"),
        (f"apiVersion: {VERSION}\nkind: Trust\n".encode(), "a Trust resource"),
        (f"apiVersion: '{VERSION}'\nkind: 'Upstreams'\n".encode(), "an Upstreams resource"),
        (f"apiVersion: {VERSION}\nkind: Trust\nkey: |\n  -----BEGIN PUBLIC KEY-----\n".encode(), "a Trust resource"),
        (f'{{"apiVersion": "{VERSION}", "kind": "Lock"}}'.encode(), "a lock"),
        (f'{{"apiVersion": "{VERSION}", "kind": "Delivery"}}'.encode(), "the index of a delivery"),
        (f'{{"apiVersion": "{VERSION}", "kind": "Policy"}}'.encode(), "a Policy resource"),
        (f'{{"apiVersion": "{VERSION}", "kind": ""}}'.encode(), ""),
        (f'{{"apiVersion": "{VERSION}", "kind": "X\\nnext: rm -rf"}}'.encode(), ""),
        (f'{{"apiVersion": "{VERSION}", "kind": 1}}'.encode(), ""),
        (b'{"dsseEnvelope": {}}', "a signed statement"),
        (b'{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}', "a trusted_root.json"),
    ],
)
def test_files_are_recognized_by_their_content(data: bytes, what: str) -> None:
    assert recognized(data) == what


def test_a_statement_of_airgap_is_identified_by_its_kind() -> None:
    made = statement(Digest.of(b"1"), Approval(None), "security-officer")
    bundle = sign_payload(made.payload, signer())
    assert (recognized(bundle), identified(bundle)) == ("a signed statement", "an approval")
    other = sign_payload(made.payload.replace(b"approval/v1", b"recipe/v1"), signer())
    for data in (other, b'{"dsseEnvelope": {}}', b'{"dsseEnvelope": {"payload": "e"}}', b'{"dsseEnvelope": []}'):
        assert identified(data) == "a signed statement"
    assert identified(b"-----BEGIN PUBLIC KEY-----\n") == "a public key"


def test_every_kind_of_statement_has_a_name() -> None:
    assert set(STATEMENTS) == set(KINDS)


def test_a_message_names_the_file_once_and_says_what_it_is() -> None:
    assert not_expected("a.pub", b"-----BEGIN PUBLIC KEY-----", "a lock") == "a.pub is a public key, not a lock"
    assert not_expected("a", b"text", "a lock", "a: not valid JSON") == "a is not a lock: not valid JSON"
    assert not_expected("a", b"text", "a lock") == "a is not a lock"
    lock = f'{{"apiVersion": "{VERSION}", "kind": "Lock"}}'.encode()
    assert not_expected("a", lock, "a lock", "no items") == "a is not a lock: no items"
