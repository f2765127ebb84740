"""Secrets in files that are about to be carried: what is found, and what is no secret."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from airgap.store.tree_secrets import HEAD, secret_in

EC = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
PKCS8, OLD = serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL
OPENSSH = serialization.PrivateFormat.OpenSSH
NONE, LOCKED = serialization.NoEncryption(), serialization.BestAvailableEncryption(b"pw")
START = datetime(2026, 1, 1, tzinfo=UTC)
NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ca")])
CERTIFICATE = x509.CertificateBuilder(NAME, NAME, EC.public_key(), 1, START, START + timedelta(9)).sign(
    EC, hashes.SHA256()
)
HF = b"hf_" + b"aB3" * 11 + b"x"
AUTH = base64.b64encode(b"me:secret").decode()

SECRETS = {
    "key.pem": EC.private_bytes(PEM, PKCS8, NONE),
    "a/b/locked.pem": EC.private_bytes(PEM, PKCS8, LOCKED),
    "old.pem": RSA.private_bytes(PEM, OLD, NONE),
    "old-locked.pem": RSA.private_bytes(PEM, OLD, LOCKED),
    "id_ed25519": ed25519.Ed25519PrivateKey.generate().private_bytes(PEM, OPENSSH, NONE),
    "notes.txt": b"text before\n\n" + EC.private_bytes(PEM, PKCS8, NONE),
    "service-account.json": json.dumps({"private_key": EC.private_bytes(PEM, PKCS8, NONE).decode()}).encode(),
    "cosign.key": b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n" + base64.b64encode(bytes(60)) + b"\n",
    "der.key": EC.private_bytes(DER, PKCS8, NONE),
    "rsa.der": RSA.private_bytes(DER, OLD, NONE),
    "store.p12": pkcs12.serialize_key_and_certificates(b"k", EC, None, None, LOCKED),
    "keys.txt": b"# created\nAGE-SECRET-KEY-1" + b"Q" * 58 + b"\n",
    "a.ppk": b"PuTTY-User-Key-File-3: ssh-ed25519\n",
    "sub/.netrc": b"machine example.org\n  login me\n  password s3cret\n",
    ".git-credentials": b"https://me:" + HF + b"@huggingface.co\n",
    ".npmrc": b"//registry.example.org/:_authToken=abc\n",
    ".pypirc": b"[pypi]\nusername = me\npassword = s3cret\n",
    ".env": b"# local\nOPENAI_API_KEY=sk-something-long\n",
    "prod.env": b'export DB_PASSWORD="hunter2hunter2"\n',
    "train.py": b"login(token='" + HF + b"')\n",
    ".aws/credentials": b"[default]\naws_access_key_id = AKIAQ\naws_secret_access_key = " + b"wJalrXUtnF" * 4 + b"\n",
    ".docker/config.json": json.dumps({"auths": {"ghcr.io": {"auth": AUTH}}}).encode(),
    "kubeconfig": b"users:\n- name: me\n  user:\n    client-key-data: LS0tLS1CRUdJTg==\n",
}

HARMLESS = {
    "public.pem": EC.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    "id.pub": EC.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH),
    "chain.crt": CERTIFICATE.public_bytes(PEM),
    "chain.der": CERTIFICATE.public_bytes(DER),
    "chain.key": CERTIFICATE.public_bytes(DER),
    "README.md": b"It begins with -----BEGIN PRIVATE KEY-----\nand ends with -----END PRIVATE KEY-----\n",
    "config.json": b'{"model_type": "bert", "auths": {}, "token": "x", "password": ""}',
    "tokenizer.json": b'{"vocab": {"hf_": 1, "ghp_": 2, "-----BEGIN": 3, "password": 4}}',
    "model.safetensors": b"\x30\x82\x01\x00\x02\x01\x00" * 100,
    ".env.example": b"OPENAI_API_KEY=sk-something-long\n",
    ".env": b"OPENAI_API_KEY=$OPENAI_API_KEY\nHF_TOKEN=<your token>\nDB_PASSWORD=\nDEBUG_TOKENS=true\n",
    ".npmrc": b"registry=https://registry.example.org\n//registry.example.org/:_authToken=${NPM_TOKEN}\n",
    ".netrc": b"machine example.org login me\n",
    ".gitconfig": b'[url "https://example.org:8443/"]\n\tinsteadOf = x\n',
    "docs.md": b"aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n",
    "far.bin": b"\0" * HEAD,
}


@pytest.mark.parametrize("path", SECRETS)
def test_a_secret_is_found(path: str) -> None:
    said = secret_in(path, SECRETS[path][:HEAD])
    assert said
    assert not any(word in said for word in ("s3cret", "hf_", "sk-"))


@pytest.mark.parametrize("path", HARMLESS)
def test_what_is_public_or_an_example_is_no_secret(path: str) -> None:
    assert secret_in(path, HARMLESS[path]) == ""
