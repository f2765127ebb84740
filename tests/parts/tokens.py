"""A token server of the kind that registries send their clients to.

It checks Basic credentials, signs a JWT for the scopes asked for, and counts. The registry trusts
its certificate, which travels in the token's x5c header: both distribution 2.8 and 3.1 take that.
"""

from __future__ import annotations

import base64
import json
import threading
import time
import urllib.parse
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.parts.process import LOOPBACK
from tests.parts.tls import Certificate
from tests.parts.web import Handler, Server

ISSUER = "airgap-test-tokens"
SERVICE = "airgap-test-registry"
# The registry refuses a token from the future; machines' clocks are read twice here.
EARLY_SECONDS = 10


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """One request: who asked (empty when anonymous), for which scopes, and how it was answered."""

    user: str
    scopes: tuple[str, ...]
    status: int


# (user, type, name, action) → whether a token may carry it.
Permission = Callable[[str, str, str, str], bool]


def signed_in(user: str, kind: str, name: str, action: str) -> bool:
    """The permission to begin with: whoever signs in may do everything, others nothing."""
    return bool(user)


class TokenServer:
    """Signs tokens; `permission` and `seconds` may be changed while it runs."""

    def __init__(self, signer: Certificate, users: dict[str, str], certificate: Certificate | None = None) -> None:
        """Start it: `users` maps names to passwords; with a certificate it speaks TLS."""
        self.signer = signer
        self.users = users
        self.permission: Permission = signed_in
        self.seconds = 300
        self.requests: list[TokenRequest] = []
        self._lock = threading.Lock()
        self._server = Server(type("TokenHandler", (_Handler,), {"tokens": self}), certificate)
        # By name: crane refuses a realm at a private address.
        self.realm = f"{self._server.url}/token".replace(LOOPBACK, "localhost")

    def stop(self) -> None:
        """Stop serving."""
        self._server.stop()

    def record(self, request: TokenRequest) -> None:
        """Count a request."""
        with self._lock:
            self.requests.append(request)

    def token(self, user: str, scopes: list[str]) -> str:
        """A signed token for what this user may do of the scopes."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "sub": user,
            "aud": SERVICE,
            "iat": now,
            "nbf": now - EARLY_SECONDS,
            "exp": now + self.seconds,
            "jti": uuid.uuid4().hex,
            "access": [self._access(user, scope) for scope in scopes],
        }
        return sign(claims, self.signer)

    def _access(self, user: str, scope: str) -> dict[str, Any]:
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        allowed = [action for action in actions.split(",") if self.permission(user, kind, name, action)]
        return {"type": kind, "name": name, "actions": allowed}


def sign(claims: dict[str, Any], signer: Certificate) -> str:
    """A JWT by ES256 with the certificate in its header."""
    header = {
        "typ": "JWT",
        "alg": "ES256",
        "x5c": [base64.b64encode(signer.der()).decode()],
    }
    signed = f"{_part(header)}.{_part(claims)}"
    r, s = decode_dss_signature(signer.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{_base64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _part(value: dict[str, Any]) -> str:
    return _base64url(json.dumps(value).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class _Handler(Handler):
    tokens: TokenServer

    def do_GET(self) -> None:
        """The token endpoint of the registry specification."""
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        scopes = [one for value in query.get("scope", []) for one in value.split(" ")]
        given = self.basic()
        if given is not None and self.tokens.users.get(given[0]) != given[1]:
            self._reply(TokenRequest(given[0], tuple(scopes), 401), {"errors": "wrong password"})
            return
        user = given[0] if given else ""
        token = self.tokens.token(user, scopes)
        reply = {"token": token, "access_token": token, "expires_in": self.tokens.seconds}
        self._reply(TokenRequest(user, tuple(scopes), 200), reply)

    def do_POST(self) -> None:
        """OAuth2, which this server does not speak: clients then come with GET."""
        for _ in self.body():
            pass
        self.answer(405)

    def _reply(self, request: TokenRequest, reply: dict[str, Any]) -> None:
        self.tokens.record(request)
        headers = {"Content-Type": "application/json"}
        if request.status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="tokens"'
        self.answer(request.status, json.dumps(reply).encode(), headers)
