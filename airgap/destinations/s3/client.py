"""An S3 client that uses only the Sovereign resource, and the translation of its errors into `AirgapError`s."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airgap.base.errors import (
    AirgapError,
    DamageError,
    InputError,
    NotFoundError,
    RaceError,
    UnreachableError,
    UpstreamError,
)
from airgap.base.secrets import read_secret
from airgap.net.config import Credentials
from airgap.net.origin import Origin
from airgap.net.probe import check_name
from airgap.resources.sovereign import S3Config

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECT_TIMEOUT = 10
"""In seconds: the endpoint is in the same site."""
READ_TIMEOUT = 300
"""Seconds without a byte: a store may be silent while it assembles the parts of a large object."""
ASK_AGAIN = 1.5
"""Seconds until an incomplete PUT is sent again, more at each attempt: longer than MinIO caches its disk status."""
ATTEMPTS = 5
"""Requests in total, with the library's own back-off: 5 of them outlast a restart of the service."""


def make_client(config: S3Config, connections: int) -> S3Client:
    """A client for `config.endpoint`: path-style, SigV4, no proxy, no instance metadata, no settings of the machine.

    Raises `InputError` (`missing-extra`, `no-credentials`).
    """
    try:
        import boto3
        import botocore.config
    except ImportError as error:
        raise InputError("missing-extra", "S3 needs boto3", "pip install 'airgap[s3]'") from error
    access_key, secret_key, token = _keys(config.host.credentials)
    ca_file = config.host.ca_file
    if ca_file is not None and not ca_file.is_file():
        raise InputError("no-ca-file", f"s3.caFile: {ca_file} does not exist", "correct the path")
    settings = botocore.config.Config(
        signature_version="s3v4",
        # The body is not hashed a second time for the signature: its SHA-256 is in a signed header.
        s3={"addressing_style": "path", "payload_signing_enabled": False},
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        proxies={},  # None would use those of the environment
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        max_pool_connections=connections,
    )
    with mapped(config.endpoint):
        client = boto3.session.Session(botocore_session=_session(os.devnull, os.devnull)).client(
            "s3",
            endpoint_url=config.endpoint,
            region_name=config.region,
            config=settings,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            aws_session_token=token,
            # True, not None: None would read the environment.
            verify=True if ca_file is None else str(ca_file),
        )
    client.meta.events.register("before-send.s3", _NameCheck(Origin.of(config.endpoint)))
    client.meta.events.register_last("before-parameter-build.s3", _ask_once)
    # The return value of the hook does count for this event.
    client.meta.events.register("needs-retry.s3.PutObject", _ask_again)  # type: ignore[arg-type]
    return client


class _NameCheck:
    """Looks up the name of the endpoint before the first request: the library would try again for many seconds."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._known = False

    def __call__(self, **_request: Any) -> None:
        if not self._known:
            check_name(self._origin)
            self._known = True


def _ask_once(model: Any, context: Any, **_more: Any) -> None:
    """After a redirect, the library asks by HeadBucket for the bucket's region; after a redirect of that, by another.

    The mark ends that: airgap itself asks no HeadBucket.
    """
    if model.name == "HeadBucket":
        context.setdefault("s3_redirect", {})["redirected"] = True


def _ask_again(response: Any, attempts: int, **_more: Any) -> float | None:
    """The pause before a PUT that the server calls incomplete is sent again; MinIO does so when its disk fills up.

    MinIO checks its disk's size once a second, and until then cannot report why a write was too short. After that it
    reports that the disk is full. A PUT that was truncated on the way succeeds the second time.
    """
    code = None if response is None else response[1].get("Error", {}).get("Code")
    return ASK_AGAIN * attempts if code == "IncompleteBody" and attempts < ATTEMPTS else None


def _session(config_file: str, credentials_file: str, profile: str | None = None) -> Any:
    """A botocore session whose settings come only from these two files, and never from the environment."""
    import botocore.session

    files = {"config_file": config_file, "credentials_file": credentials_file}
    variables = {
        name: (key, None, files.get(name, default), convert)
        for name, (
            key,
            _env,
            default,
            convert,
        ) in botocore.session.Session.SESSION_VARIABLES.items()
    }
    return botocore.session.Session(session_vars=variables, profile=profile)


def _keys(credentials: Credentials | None) -> tuple[str, str, str | None]:
    """Access key, secret key and session token."""
    if credentials is not None and credentials.profile:
        return _profile_keys(credentials.profile)
    if credentials is None or not credentials.access_key_file or not credentials.secret_key_file:
        raise InputError(
            "no-credentials",
            "s3.credentials: got neither a profile nor accessKeyFile and secretKeyFile",
            "add one of them to the Sovereign resource",
        )
    access, secret = map(read_secret, (credentials.access_key_file, credentials.secret_key_file))
    return access.strip(), secret.strip(), None


_PROFILE = "add a section with its name and keys to ~/.aws/credentials; AWS_SHARED_CREDENTIALS_FILE is not read"


def _profile_keys(name: str) -> tuple[str, str, str | None]:
    import botocore.exceptions

    session = _session("~/.aws/config", "~/.aws/credentials", name)
    try:
        resolver = session.get_component("credential_provider")
        for provider in (
            "env",
            "container-role",
            "iam-role",
        ):  # the last two query a metadata service
            resolver.remove(provider)
        found = session.get_credentials()
        if found is not None:
            frozen = found.get_frozen_credentials()
            return frozen.access_key, frozen.secret_key, frozen.token
    except botocore.exceptions.BotoCoreError as error:
        what = f"s3.credentials.profile {name!r}: {error}"
        raise InputError("no-credentials", what, _PROFILE) from error
    what = f"s3.credentials.profile {name!r} has no keys"
    raise InputError("no-credentials", what, _PROFILE)


_RIGHTS = (
    "the importer needs ListBucket, ListBucketMultipartUploads and GetBucketLocation on the bucket, "
    "PutObject, GetObject, AbortMultipartUpload and ListMultipartUploadParts on its objects; "
    "MinIO answers the same when its storage is read-only"
)
_QUOTA = "raise the bucket's quota, or make room in it"
FULL = "the server's disks are full: free space there, then run the import again"
_DRIVES = (
    "the server can write to too few of its drives (full, missing or read-only): check them, then run the import again"
)
_DOWN = "the store is down behind its proxy: start it, then run the same command again"
_BROKEN = (
    "the server failed and gives no reason; SeaweedFS answers like this when its disks are full: "
    "check its disks and its log"
)
_CUT = (
    "the complete object was sent: something on the way truncated it, or the server could not store it; "
    "check the free space of the server's disks, then run the import again"
)
_DAMAGED = "the server received different bytes than were sent: run the import again"
_ARCHIVED = (
    "a life-cycle rule moved it into an archive, where it cannot be read: restore it, and keep the rule off this bucket"
)
_ELSEWHERE = "correct s3.endpoint, and s3.region, to what the server redirects to"
_RACE = "another client writes the same key; run the import again"
_MEANINGS: dict[str, tuple[type[AirgapError], str, str]] = {
    "301": (UpstreamError, "redirect-refused", _ELSEWHERE),
    "302": (UpstreamError, "redirect-refused", _ELSEWHERE),
    "303": (UpstreamError, "redirect-refused", _ELSEWHERE),
    "307": (UpstreamError, "redirect-refused", _ELSEWHERE),
    "308": (UpstreamError, "redirect-refused", _ELSEWHERE),
    "AccessDenied": (UpstreamError, "access-denied", _RIGHTS),
    "403": (UpstreamError, "access-denied", _RIGHTS),
    "AllAccessDisabled": (UpstreamError, "access-denied", _RIGHTS),
    "InvalidAccessKeyId": (
        UpstreamError,
        "bad-credentials",
        "the server does not know this access key",
    ),
    "SignatureDoesNotMatch": (
        UpstreamError,
        "bad-credentials",
        "the secret key does not belong to the access key",
    ),
    "RequestTimeTooSkewed": (
        UpstreamError,
        "clock",
        "this machine's clock differs from the server's: set the clock",
    ),
    "NoSuchBucket": (
        InputError,
        "no-bucket",
        "create the bucket, or correct s3.buckets; if rights are missing too, MinIO says access denied instead",
    ),
    "XMinioAdminBucketQuotaExceeded": (UpstreamError, "quota", _QUOTA),
    "QuotaExceeded": (UpstreamError, "quota", _QUOTA),
    "XMinioStorageFull": (UpstreamError, "destination-full", FULL),
    "507": (UpstreamError, "destination-full", FULL),
    "SlowDownWrite": (UpstreamError, "not-writable", _DRIVES),
    "InternalError": (UpstreamError, "server-error", _BROKEN),
    "500": (UpstreamError, "server-error", _BROKEN),
    "502": (UnreachableError, "unreachable", _DOWN),
    "504": (UnreachableError, "unreachable", _DOWN),
    "IncompleteBody": (UpstreamError, "cut-request", _CUT),
    "BadDigest": (DamageError, "digest-mismatch", _DAMAGED),
    "XAmzContentChecksumMismatch": (DamageError, "digest-mismatch", _DAMAGED),
    "InvalidDigest": (DamageError, "digest-mismatch", _DAMAGED),
    "PreconditionFailed": (RaceError, "changed-meanwhile", _RACE),
    "ConditionalRequestConflict": (RaceError, "changed-meanwhile", _RACE),
    "412": (RaceError, "changed-meanwhile", _RACE),
    "InvalidObjectState": (UpstreamError, "archived", _ARCHIVED),
    "NoSuchUpload": (
        NotFoundError,
        "no-such-upload",
        "run the import again: it starts this object over",
    ),
    "NoSuchKey": (NotFoundError, "not-found", ""),
    "404": (NotFoundError, "not-found", ""),
}
_FULL_WORDS = ("no space left on device", "drive path full")
"""Words in the message of MinIO's 500 InternalError if its last check of the disk still found room."""


@contextmanager
def mapped(where: str) -> Iterator[None]:
    """Turns every exception of boto3 inside into an `AirgapError`. `where` describes the request."""
    import botocore.exceptions

    try:
        yield
    except botocore.exceptions.ClientError as error:
        raise _from_answer(error, where) from error
    except botocore.exceptions.SSLError as error:
        raise UpstreamError("tls", f"{where}: {error}", "check the address and caFile", side="destination") from error
    except botocore.exceptions.ParamValidationError as error:
        raise InputError("bad-request", f"{where}: {error}") from error
    except (
        botocore.exceptions.BotoCoreError,
        botocore.exceptions.HTTPClientError,
        OSError,
        ValueError,
    ) as error:
        raise UnreachableError(
            "unreachable",
            f"{where}: {type(error).__name__}: {error}",
            "check the endpoint, then run the same command again",
            side="destination",
        ) from error


def _from_answer(error: Any, where: str) -> AirgapError:
    answer = error.response.get("Error", {})
    code, message = str(answer.get("Code", "")), str(answer.get("Message", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    full = any(words in message for words in _FULL_WORDS)
    kind, ours, hint = (
        _MEANINGS.get("507" if full else code) or _MEANINGS.get(str(status)) or (UpstreamError, "refused", "")
    )
    what = f"{where}: {status} {code}: {message}"
    if issubclass(kind, UpstreamError):
        return kind(ours, what, hint, status, side="destination")
    return kind(ours, what, hint)
