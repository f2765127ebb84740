"""Shapes and maps that several resources share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from airgap.base.amounts import read_size, read_span
from airgap.base.digest import Digest
from airgap.base.errors import InputError
from airgap.net.config import Credentials, HostConfig
from airgap.net.origin import Origin
from airgap.resources.fields import spec, spec_map
from airgap.resources.problems import quoted
from airgap.resources.references import parse_time
from airgap.resources.shapes import Choice, Flag, ListOf, MapOf, Place, Text, path

RELATIVE = "Relative paths start at the folder of the resource file."
UNKNOWN_TIME = datetime.min.replace(tzinfo=UTC)
"""Replaces a time that could not be read. The document is refused in any case."""


def _time(at: Place) -> datetime:
    made = parse_time(at.value)
    if isinstance(made, str):
        at.bad(made)
        return UNKNOWN_TIME
    return made


def _duration(at: Place) -> timedelta:
    made = read_span(at.value)
    if not made:
        at.bad(f"got {quoted(at.value)}, expected more than nothing and at most ten years")
    return made or timedelta(0)


def in_order(at: Place, before: datetime | None, after: datetime | None) -> None:
    """Reports a `notAfter` that is not after `notBefore`. Does nothing if one of the times is `None` or unknown."""
    known = before not in (None, UNKNOWN_TIME) and after not in (None, UNKNOWN_TIME)
    if known and before >= after:  # type: ignore[operator]
        at.bad(f"got {quoted(at.value['notAfter'])}, expected a time after notBefore", "notAfter")


ALLOW_SECRETS = ListOf(
    Text("a path or a pattern, such as tests/*.key", least=1),
    "a list of paths",
    "Files that may contain a secret, such as a private key for tests. Without it, `airgap lock` refuses local files "
    "with private keys, logins and tokens (`secret-in-tree`). The lock records it.",
    least=1,
    unique=True,
)

RESOURCE_NAME = Text(
    "a name of lower-case letters, digits, '-' and '.'", pattern="^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
)
ITEM_NAME = Text("a name without spaces", "Items of one kind must have different names.", pattern=r"^\S{1,300}$")
FILE = path("a file's path", RELATIVE)
FOLDER = path("a folder's path", RELATIVE)
SHA256 = Text("64 lower-case hex digits, as sha256sum prints them", pattern="^[0-9a-f]{64}$")
DIGEST = Text(
    "a digest: 'sha256:' and 64 lower-case hex digits",
    pattern="^sha256:[0-9a-f]{64}$",
    reads=lambda at: Digest(at.value),
)
TIME = Text(
    "a time with its time zone, such as 2026-01-01T00:00:00Z",
    "RFC 3339, with or without quotes.",
    format="date-time",
    reads=_time,
)
SIZE = Text(
    "a size with its unit, such as 4GiB, 512MiB or 25GB",
    pattern="^[0-9]{1,9}([KMGT]i?)B$",
    complaint=lambda text: "" if read_size(text) > 0 else f"got {quoted(text)}, expected more than nothing",
    reads=lambda at: read_size(at.value),
)
DURATION = Text(
    "a time with its unit, such as 90s, 30m, 12h or 7d",
    pattern="^[0-9]{1,9}[smhd]$",
    reads=_duration,
)
RULES_AGE = timedelta(days=180)
"""Checks for misconfigurations are released a few times a year, and do not spoil as lists of vulnerabilities do."""
DATABASES = ("trivy-db", "trivy-java-db", "trivy-checks", "clamav-daily")
"""The databases of scanners, as verdicts name them. A wrong name would be a limit that nobody notices is none."""
DATABASE_AGES = MapOf(
    Choice(DATABASES),
    DURATION,
    "a map from databases to ages",
    "The same for single databases, by their names in the verdict. Default: `trivy-checks: 180d`.",
)
HOST = Text(
    "a host or host:port in lower case, without a scheme and a path",
    pattern=r"^(\[[0-9a-f:.]+\]|[a-z0-9]([a-z0-9._-]*[a-z0-9])?)(:[0-9]{1,5})?$",
)
PLACE = Text(
    "the beginning of an original name, host[:port][/path], without a scheme and without a final '/'",
    pattern=r"^(\[[0-9a-f:.]+\]|[^\s/:@\[\]]+)(:[0-9]{1,5})?(/[^\s/:@]+)*$",
)
APPROVER = Text("the name of the person responsible", pattern=r"\S", most=200)
REASON = Text("the reason for letting it pass", pattern=r"\S", most=2000)
SECRET_FILE = path(
    "the path of a file that contains the secret",
    "airgap reads the file when it needs the secret, and ignores one newline at its end. It refuses a file that other "
    "users can read; use mode 0600. " + RELATIVE,
)
CA_FILE = path(
    "the path of a PEM file with CA certificates",
    "The server's certificate is verified against these. Default: the system's certificates.",
)
ALLOWED_HOSTS = ListOf(
    HOST,
    "a list of hosts",
    "Other origins that redirects, upload locations, token realms and LFS links may lead to. "
    "By default only the same origin is allowed.",
)


@spec_map(
    "a map that names files with secrets",
    "One of three ways to log in. A resource never contains a secret. "
    "Default: the docker credential store; without an entry there, anonymous.",
    one_of={
        "username with passwordFile": ("username", "passwordFile"),
        "tokenFile": ("tokenFile",),
        "credentialsFile": ("credentialsFile",),
    },
    together=("username", "passwordFile"),
)
class HostLogin:
    """How to log in to a registry, a Git server or an upstream host."""

    username: str = spec(Text("the account's name", least=1), default="")
    password_file: Path | None = spec(SECRET_FILE, default=None)
    token_file: Path | None = spec(SECRET_FILE, default=None)
    credentials_file: Path | None = spec(
        path("the path of a robot account's file"),
        "JSON with `name` and `secret`, as downloaded from Harbor. "
        "airgap refuses a file that other users can read; use mode 0600.",
        default=None,
    )

    def checked(self, at: Place) -> Credentials:
        """The credentials in the form that `airgap.net` uses."""
        return Credentials(self.username, self.credentials_file or self.password_file, self.token_file)


@spec_map(
    "a map that names a profile or two key files",
    "One of two ways to log in. airgap takes no credentials from the environment or from the machine.",
    one_of={"profile": ("profile",), "accessKeyFile with secretKeyFile": ("accessKeyFile", "secretKeyFile")},
    together=("accessKeyFile", "secretKeyFile"),
)
class S3Login:
    """How to log in to an S3 store."""

    profile: str = spec(Text("a profile's name in the AWS credentials file", least=1), default="")
    access_key_file: Path | None = spec(SECRET_FILE, default=None)
    secret_key_file: Path | None = spec(SECRET_FILE, default=None)

    def checked(self, at: Place) -> Credentials:
        """The credentials in the form that `airgap.net` uses."""
        return Credentials(
            profile=self.profile, access_key_file=self.access_key_file, secret_key_file=self.secret_key_file
        )


@spec_map()
class Access:
    """How to reach a server. Its URL is in the same map as these fields."""

    credentials: Credentials | None = spec(HostLogin, default=None)
    ca_file: Path | None = spec(CA_FILE, default=None)
    allowed_hosts: tuple[str, ...] = spec(ALLOWED_HOSTS, default=())
    plain_http: bool = spec(
        Flag(),
        "true: the credentials may be sent to an `http://` url, where everybody on the way can read them. Not needed "
        "for localhost, 127.0.0.0/8 and ::1.",
        name="plainHTTP",
        default=False,
    )

    def checked(self, at: Place) -> HostConfig:
        """The configuration in the form that `airgap.net` uses. A URL with `http://` means no TLS.

        Reports credentials that would go without TLS, unless `plainHTTP` allows it or the server is this machine.
        """
        url = str(at.value.get("url"))
        plain = url.startswith("http://")
        if plain and self.credentials is not None and not (self.plain_http or _is_loopback(url)):
            at.bad(
                "the credentials would be sent without TLS; write https://, or add 'plainHTTP: true' if everybody on "
                "the way may read them",
                "url",
            )
        return HostConfig(self.credentials, self.ca_file, plain, allowed_hosts=self.allowed_hosts)


def _is_loopback(url: str) -> bool:
    try:
        return Origin.of(url).loopback
    except InputError:  # it is reported by the check of the URL
        return True


@spec_map()
class S3Access:
    """How to reach an S3 store. Its requests are signed, and contain no secret."""

    credentials: Credentials | None = spec(S3Login)
    ca_file: Path | None = spec(CA_FILE, default=None)
    allowed_hosts: tuple[str, ...] = spec(ALLOWED_HOSTS, default=())

    def checked(self, at: Place) -> HostConfig:
        """The configuration in the form that `airgap.net` uses."""
        plain = str(at.value.get("endpoint")).startswith("http://")
        return HostConfig(self.credentials, self.ca_file, plain, allowed_hosts=self.allowed_hosts)
