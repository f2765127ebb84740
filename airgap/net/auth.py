"""Authentication at a registry: challenges, tokens, and when to request new ones.

Source: Distribution's token authentication specification. Comments note where Harbor differs.
"""

from __future__ import annotations

import base64
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from airgap.base.errors import LoginError, UnreachableError, UpstreamError
from airgap.base.strict_json import decode_json
from airgap.net.credentials import Login
from airgap.net.http import Client, Fixed, Response
from airgap.net.origin import redact

DEFAULT_SECONDS = 60.0
"""Seconds that a token is valid if the server does not say (token specification, "expires_in")."""
MAX_SECONDS = 10 * 365 * 86400
"""A longer life counts as none: Python has no float for every number of JSON."""
LEEWAY = 30.0
"""Seconds before its end at which a token counts as expired. A server checks a token when a request starts."""

DOWN = "the registry is down behind its proxy: start it (Harbor: core), then run the same command again"
"""The next step if a proxy answers for the registry."""
_TOKEN = re.compile(r"[!-~]+\Z")
"""What goes into a header."""
_PARAMETER = re.compile(r'(?<![A-Za-z_])([A-Za-z_]+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Challenge:
    """A `Www-Authenticate` header: `scheme` is `bearer`, `basic`, or another scheme in lower case."""

    scheme: str
    realm: str = ""
    service: str = ""


NO_CHALLENGE = Challenge("")
"""The service does not require authentication."""


def parse_challenge(header: str) -> Challenge | None:
    """The challenge that airgap can answer best, `None` for an empty header."""
    text = header.strip()
    if not text:
        return None
    bearer = re.search(r"(?:^|,\s*)bearer\s+", text, re.IGNORECASE)
    if bearer is None:
        return Challenge(text.split()[0].rstrip(",").lower())
    # If a name occurs twice, the first counts: a later one belongs to the next challenge.
    found = dict(reversed(_PARAMETER.findall(text[bearer.end() :])))
    return Challenge("bearer", found.get("realm", ""), found.get("service", ""))


@dataclass(frozen=True, slots=True)
class _Token:
    header: str = field(repr=False)
    until: float


Scopes = tuple[str, ...]
"""`repository:<name>:<actions>`, the most important first."""


class TokenRealm:
    """The authentication at one registry: its first challenge, and one token per set of scopes. Thread-safe.

    `probe_url` is the registry's `/v2/`. `login` is `None` for anonymous access.
    """

    def __init__(
        self,
        http: Client,
        probe_url: str,
        login: Login | None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.login = login
        self._http = http
        self._clock = clock
        self._probe_url = probe_url
        self._challenge: Challenge | None = None
        self._lock = threading.Lock()
        self._tokens: dict[Scopes, _Token] = {}
        self._fetching: defaultdict[Scopes, threading.Lock] = defaultdict(threading.Lock)
        self._login_checked = False

    def scoped(self, *scopes: str) -> ScopedAuth:
        """The `Auth` for requests that need `scopes`."""
        return ScopedAuth(self, scopes)

    @property
    def who(self) -> str:
        """The account, for messages."""
        return f"user {self.login.username}" if self.login and self.login.username else "anonymous"

    def header(self, scopes: Scopes) -> str:
        """The `Authorization` header for `scopes`, fetched if necessary. Raises `UpstreamError`."""
        # Get the challenge before sending any body: a body sent into a 401 is wasted.
        challenge = self._challenge or self._probe()
        if self.login is not None and not self.login.username:
            return self.login.header
        if challenge.scheme == "basic":
            return self.login.header if self.login else ""
        if challenge.scheme != "bearer":
            return ""
        token = self._tokens.get(scopes)
        if token is None or token.until < self._clock():
            token = self._renew(challenge, scopes)
        return token.header

    def granted(self, scope: str) -> frozenset[str] | None:
        """The actions that the token for `scope` allows, by its own account; `None` if tokens do not say.

        Nothing but the token is asked for. Raises `UpstreamError`, for a wrong login too.
        """
        kind, _, token = self.header((scope,)).partition(" ")
        ours = self.login is None or bool(self.login.username)  # a token of somebody else is not for a scope
        access = _claims(token).get("access") if kind == "Bearer" and ours else None
        if not isinstance(access, list):
            return None
        return frozenset(str(one) for entry in access for one in _actions(entry) or ())

    def refused(self, scopes: Scopes, response: Response) -> bool:
        """Evaluates a 401; true if `header(scopes)` now returns another value.

        Harbor answers every failed `Authorization` with `Basic`, never `Bearer`, so the first challenge is kept. An
        empty challenge means that the project is missing; asking again is pointless.
        """
        challenge = parse_challenge(response.headers.get("Www-Authenticate") or "")
        if challenge is None or (self.login is not None and not self.login.username):
            return False
        with self._lock:
            known = self._challenge
            if known is None or known == NO_CHALLENGE:
                self._challenge = challenge
                return challenge.scheme == "bearer" or self.login is not None
        self._tokens.pop(scopes, None)
        return known.scheme == "bearer"

    def _probe(self) -> Challenge:
        with self._lock:
            if self._challenge is None:
                answer = self._http.request("GET", self._probe_url, expect=None)
                if answer.status >= 500:
                    raise self._down(answer)
                header = answer.headers.get("Www-Authenticate") or ""
                challenge = parse_challenge(header) if answer.status == 401 else None
                self._challenge = challenge or NO_CHALLENGE
            return self._challenge

    def _renew(self, challenge: Challenge, scopes: Scopes) -> _Token:
        with self._fetching[scopes]:
            token = self._tokens.get(scopes)
            if token is None or token.until < self._clock():
                token = self._tokens[scopes] = self._fetch(challenge, scopes)
            return token

    def _fetch(self, challenge: Challenge, scopes: Scopes) -> _Token:
        # A server supplies the realm. The realm gets the password only if the zone's rules allow it.
        realm = self._http.resolve(self._probe_url, challenge.realm, "token realm")
        query = [("service", challenge.service)] if challenge.service else []
        query += [("scope", scope) for scope in scopes]
        url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
        auth = Fixed(self.login.header) if self.login else None
        asked = self._clock()
        answer = self._http.request("GET", url, auth=auth, expect=None)
        if answer.status in (401, 403):
            raise self._login_failed(realm)
        if answer.status >= 500:
            raise self._down(answer)
        if not 200 <= answer.status < 300:
            raise answer.error()
        value = answer.json()
        text = value.get("token") or value.get("access_token") if isinstance(value, dict) else None
        if not isinstance(text, str) or not _TOKEN.match(text):
            raise UpstreamError("bad-token", f"{redact(realm)}: the answer contains no token", side=self._http.side)
        self._check_granted(text, realm)
        seconds = value.get("expires_in")
        if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds <= MAX_SECONDS:
            seconds = DEFAULT_SECONDS
        return _Token(f"Bearer {text}", asked + max(seconds - LEEWAY, seconds / 2))

    def _check_granted(self, token: str, realm: str) -> None:
        """Harbor issues a token without rights for a wrong password. For such a token, test the login itself."""
        if self.login is None or self._login_checked:
            return
        access = _claims(token).get("access", ...)
        if access is ... or (isinstance(access, list) and any(_actions(entry) for entry in access)):
            return
        answer = self._http.request("GET", self._probe_url, auth=Fixed(self.login.header), expect=None, follow=False)
        if answer.status == 401 and parse_challenge(answer.headers.get("Www-Authenticate") or "") == Challenge("basic"):
            raise self._login_failed(realm)
        self._login_checked = True

    def _down(self, answer: Response) -> UpstreamError:
        """Without its first answer and its tokens, nothing at the registry can be reached."""
        return UnreachableError("unreachable", answer.error().what, DOWN, answer.status, side=self._http.side)

    def _login_failed(self, realm: str) -> UpstreamError:
        if self.login is None:
            return UpstreamError(
                "unauthorized",
                f"{redact(realm)}: refuses anonymous tokens",
                "set credentials for this registry",
                401,
                side=self._http.side,
            )
        return LoginError(
            "login-failed",
            f"{redact(self._probe_url)}: {self.who} was refused: the user name or the password is wrong, or the "
            "account has expired or is disabled",
            "check the user name (robot accounts have their full name, robot$…) and the password file; if they are "
            "right, renew or enable the account (Harbor: Robot Accounts, Expires in)",
            401,
            side=self._http.side,
        )


@dataclass(frozen=True, slots=True)
class ScopedAuth:
    """An `Auth` for one set of scopes at one registry."""

    authority: TokenRealm
    scopes: Scopes

    def authorization(self) -> str:
        """See `TokenRealm.header`."""
        return self.authority.header(self.scopes)

    def refused(self, response: Response) -> bool:
        """See `TokenRealm.refused`."""
        return self.authority.refused(self.scopes, response)


def _claims(token: str) -> Mapping[str, Any]:
    """The claims of a JWT, unverified, because they serve only as a hint. Empty for opaque tokens."""
    parts = token.split(".")
    try:
        claims = decode_json(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (IndexError, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _actions(entry: Any) -> Any:
    return entry.get("actions") if isinstance(entry, dict) else None
