"""Whether an S3 store would take an import: its login, buckets and rights. Only reads.

Whether objects may be written shows only by writing one. All other rights of an importer are tried: each request names
something that does not exist, and a server that permits it says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from airgap.base.errors import AirgapError, InputError, NotFoundError, UnreachableError, UpstreamError
from airgap.base.probe import Probes
from airgap.destinations.s3.client import mapped
from airgap.resources.sovereign import S3Config

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FORBIDDEN = 403
_KEY = ".airgap/doctor"
"""A key that no import writes."""
_UPLOAD = "0" * 32


def probe_s3(found: Probes, config: S3Config, client: S3Client) -> None:
    """Looks at everything that an import needs of a store. Buckets that fail alike are one problem."""
    failed: dict[str, tuple[AirgapError, list[str]]] = {}
    good: list[str] = []
    for use, bucket in sorted(config.buckets.items()):
        error = _refusal(client, config.endpoint, bucket)
        if error is None:
            good.append(f"{bucket} ({use})")
        else:
            failed.setdefault(error.code, (error, []))[1].append(bucket)
    for error, buckets in failed.values():
        named = ", ".join(dict.fromkeys(buckets))
        hint = (
            f"create it (`mc mb ALIAS/{buckets[0]}`, `aws s3 mb s3://{buckets[0]}`), or correct s3.buckets; an import "
            "creates no buckets"
        )
        # The only mistake in a resource that a server finds is a bucket that is missing.
        found.problem(_about(error, named), error, hint if isinstance(error, InputError) else "")
    if good:
        found.ok("buckets", f"can be listed and read: {', '.join(good)}")
        found.unknown("rights", "whether objects may be written, and how much room there is, shows only by writing")


def _about(error: AirgapError, buckets: str) -> str:
    if isinstance(error, UnreachableError):
        return "address"
    return "login" if isinstance(error, UpstreamError) and error.status == FORBIDDEN else f"bucket {buckets}"


def _refusal(client: S3Client, endpoint: str, bucket: str) -> AirgapError | None:
    """Why an importer could not use a bucket; `None` if it can list and read it, and ask for unfinished uploads.

    ListBucket, then GetObject and ListMultipartUploadParts. In the last two, only a missing right counts: what they
    name does not exist.
    """
    error = _tried(f"{endpoint}/{bucket}", lambda: client.list_objects_v2(Bucket=bucket, MaxKeys=1))
    trials: list[Callable[[], object]] = [
        lambda: client.get_object(Bucket=bucket, Key=_KEY),
        lambda: client.list_parts(Bucket=bucket, Key=_KEY, UploadId=_UPLOAD),
    ]
    for trial in trials if error is None else ():
        refused = _tried(f"{endpoint}/{bucket}", trial)
        if refused is not None and isinstance(refused, UpstreamError) and refused.status == FORBIDDEN:
            return refused
    return error


def _tried(where: str, trial: Callable[[], object]) -> AirgapError | None:
    """Why a request was refused; `None` if it was permitted, and what it names is not there."""
    try:
        with mapped(where):
            trial()
    except NotFoundError:
        return None
    except AirgapError as error:
        return error
    return None
