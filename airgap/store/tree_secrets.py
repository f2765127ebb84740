"""Secrets in files that are about to be carried: private keys, logins and tokens, found by content and by name.

People clone a model or copy a folder, and carry what lies beside the weights. A delivery is read by many, and cannot be
taken back. Only the beginning of a file is read, and the secret itself is never shown. Public keys and certificates are
no secrets, nor are examples: a key needs its base64, and a value that is a placeholder does not count.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airgap.base.errors import InputError
from airgap.base.streams import read_limited
from airgap.base.text import Lines
from airgap.store.gathered import open_file

HEAD = 64 << 10
"""Bytes of a file that are looked at: files with secrets are small, and where there is more, the secret comes first."""
MAX_LISTED = 20
"""Files that a message lists."""

_PEM = re.compile(
    rb"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:\r?\n|\\n)"
    rb"(?:[A-Za-z-]{1,40}: [^\n]{0,200}\r?\n){0,8}(?:\r?\n|\\n)?[A-Za-z0-9+/=]{40}"
)
_PUTTY = re.compile(rb"\APuTTY-User-Key-File-[0-9]: ")
_AGE = re.compile(rb"AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]{58}")
_DER_KEY = re.compile(rb"\A\x30(?:\x81.|\x82..)\x02\x01[\x00\x01](?:\x30|\x02|\x04)", re.DOTALL)
_PKCS12 = re.compile(rb"\A\x30(?:\x80|\x81.|\x82..|\x83...)\x02\x01\x03\x30", re.DOTALL)
_JKS = re.compile(rb"\A(?:\xfe\xed\xfe\xed|\xce\xce\xce\xce)")
_TOKENS = re.compile(
    rb"(?<![A-Za-z0-9_-])(?:hf_[A-Za-z0-9]{34,40}|gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{82}"
    rb"|glpat-[A-Za-z0-9_-]{20}|xox[baprs]-[0-9A-Za-z-]{20,100}|npm_[A-Za-z0-9]{36}|pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,300})"
    rb"(?![A-Za-z0-9_-])"
)
_URL_LOGIN = re.compile(rb"\bhttps?://[^\s/:@\"']{1,200}:(?![<$*{]|x+@)[^\s/@\"']{1,200}@[A-Za-z0-9]", re.IGNORECASE)
_AWS = re.compile(
    rb"aws_secret_access_key[\"']?\s{0,8}[=:]\s{0,8}[\"']?(?![A-Za-z0-9/+=]{0,40}EXAMPLE)[A-Za-z0-9/+=]{40}"
)
_NETRC = re.compile(rb"(?:^|\s)password\s+(?![<$*{])\S", re.IGNORECASE)
_NPMRC = re.compile(rb"(?:_authToken|_password|_auth)\s{0,8}=\s{0,8}[\"']?(?![<$*{])[^\s\"']")
_PASSWORD = re.compile(rb"^[ \t]{0,40}password[ \t]{0,8}[=:][ \t]{0,8}(?![<$*{])\S", re.IGNORECASE | re.MULTILINE)
_ENV = re.compile(
    rb"^[ \t]{0,8}(?:export[ \t]{1,8})?[A-Z0-9_]{0,80}(?:TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|PRIVATE_KEY|ACCESS_KEY)"
    rb"[A-Z0-9_]{0,40}[ \t]{0,8}=[ \t]{0,8}[\"']?"
    rb"(?![<$*{\"']|your|change|xxx|example|none\b|null\b|true\b|false\b)[^\s\"']{6}",
    re.IGNORECASE | re.MULTILINE,
)
_DOCKER = re.compile(
    rb"\"auths\"\s{0,40}:\s{0,40}\{[^}]{0,2000}\"(?:auth|identitytoken|password)\"\s{0,40}:\s{0,40}\"[^\"]"
)
_KUBE = re.compile(
    rb"^[ \t]{0,40}(?:client-key-data|token|password):[ \t]{0,8}[\"']?(?![<$*{])[^\s\"']{8}", re.MULTILINE
)
_TEMPLATES = (".example", ".sample", ".template", ".dist", ".tmpl")


@dataclass(frozen=True, slots=True)
class _Named:
    """What a file of certain names contains if it is a secret."""

    names: re.Pattern[str]
    content: re.Pattern[bytes]
    what: str


_ANYWHERE = (
    (_PEM, "a private key"),
    (_PUTTY, "a private key of PuTTY"),
    (_AGE, "a private key of age"),
    (_TOKENS, "an access token"),
    (_AWS, "the secret key of a cloud account"),
    (_DOCKER, "the login of a registry"),
)
_BY_NAME = (
    _Named(re.compile(r"[._]netrc\Z"), _NETRC, "a password (netrc)"),
    _Named(re.compile(r"\.(?:git-credentials|gitconfig|gitmodules)\Z"), _URL_LOGIN, "a login in a URL"),
    _Named(re.compile(r"\.(?:npmrc|yarnrc|yarnrc\.yml)\Z"), _NPMRC, "the login of a package registry"),
    _Named(re.compile(r"\.pypirc\Z"), _PASSWORD, "the login of a package registry"),
    _Named(re.compile(r"(?:\.condarc|pip\.conf|\.pip\.conf)\Z"), _URL_LOGIN, "a login in a URL"),
    _Named(re.compile(r"(?:\.env|\.envrc|\.env\..{1,100}|.{1,100}\.env)\Z"), _ENV, "a secret in an environment file"),
    _Named(re.compile(r"(?:kubeconfig|.{1,100}\.kubeconfig)\Z"), _KUBE, "the login of a Kubernetes cluster"),
    _Named(re.compile(r".{0,200}\.(?:key|der|pk8|p8)\Z"), _DER_KEY, "a private key"),
    _Named(re.compile(r".{0,200}\.(?:p12|pfx)\Z"), _PKCS12, "a key store"),
    _Named(re.compile(r".{0,200}\.(?:jks|jceks|keystore)\Z"), _JKS, "a key store"),
)
_BY_PATH = (
    _Named(re.compile(r"(?:.*/)?\.git/config\Z"), _URL_LOGIN, "a login in a URL"),
    _Named(re.compile(r"(?:.*/)?\.kube/config\Z"), _KUBE, "the login of a Kubernetes cluster"),
)


def secret_in(path: str, head: bytes) -> str:
    """What secret a file contains, in words such as `a private key`; `""` for none. `head` are its first bytes.

    `path` is relative, with `/`.
    """
    for pattern, what in _ANYWHERE:
        if pattern.search(head):
            return what
    name = path.rpartition("/")[2].lower()
    if name.endswith(_TEMPLATES):
        return ""
    for one in (*_BY_NAME, *_BY_PATH):
        if one.names.match(name if one in _BY_NAME else path) and one.content.search(head):
            return one.what
    return ""


def check_tree(what: str, folder: Path, paths: Sequence[str], allowed: Sequence[str]) -> None:
    """Looks for secrets in files below `folder`; what matches a pattern of `allowed` may have one.

    `what` names the item in the message. Raises `InputError` (`secret-in-tree`) with every file that has one, and
    `StoreError`.
    """
    found = []
    for path in paths:
        if not any(fnmatch.fnmatch(path, pattern) for pattern in allowed):
            kind = secret_in(path, read_head(folder / path))
            if kind:
                found.append(f"{path}: {kind}")
    check_found(what, found)


def read_head(path: Path) -> bytes:
    """The first bytes of a file. Does not follow a symbolic link. Raises `StoreError`."""
    with open_file(path)(0) as stream:
        return read_limited(stream, HEAD)


def check_found(what: str, found: Sequence[str]) -> None:
    """Raises `InputError` (`secret-in-tree`) for the lines `found`, each with a path and what the file contains."""
    if not found:
        return
    more = [f"and {len(found) - MAX_LISTED} more files"] if len(found) > MAX_LISTED else []
    lines = [f"{what} contains a secret: {found[0]}", *found[1:MAX_LISTED], *more]
    raise InputError(
        "secret-in-tree",
        Lines.of(lines, "\n  "),
        "remove it from what is carried, and revoke it if others may have read it; if it is meant to cross, such as a "
        "key for tests, list its path in `allowSecrets`",
    )
