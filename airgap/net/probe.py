"""Whether an address can be reached: name, port, TLS, certificate and clock. Sends no request but those it is given."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime, timedelta
from typing import Any

from airgap.base.errors import AirgapError, Side, UnreachableError, UpstreamError
from airgap.base.probe import Probes
from airgap.net.config import HostConfig
from airgap.net.faults import NO_SUCH_HOST
from airgap.net.origin import Origin
from airgap.net.pools import tls_context

SECONDS = 5.0
"""For a connection, and for a handshake on it: a host of the same site answers in milliseconds."""
HTTP_DATE = "%a, %d %b %Y %H:%M:%S GMT"
"""The form in which servers give the time (RFC 9110, section 5.6.7, IMF-fixdate)."""
SKEW = timedelta(minutes=5)
"""A larger difference of clocks breaks tokens and signed requests (S3 allows 15 minutes, most token servers 5)."""
DRIFT = timedelta(minutes=1)
"""A larger one should be corrected before it grows."""


def probe_origin(found: Probes, origin: Origin, config: HostConfig, now: datetime, within: timedelta) -> bool:
    """Looks at name, port, TLS and certificate, and stops at the first problem. Returns true if there is none.

    `within` is how long before its end a certificate is a warning.
    """
    try:
        with _connected(origin) as raw:
            if origin.scheme == "http":
                found.ok("address", f"{_peer(raw)} answers, without TLS")
                return True
            return _handshake(found, raw, origin, config, now, within)
    except UpstreamError as error:
        found.problem("address", error)
    return False


def check_name(origin: Origin, side: Side = "destination") -> None:
    """Raises `UnreachableError` (`unreachable`) if the name of a host does not resolve."""
    try:
        socket.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a name"
        what = f"the name {origin.host} does not resolve: {why}"
        raise UnreachableError("unreachable", what, NO_SUCH_HOST, side=side) from error


def _connected(origin: Origin) -> socket.socket:
    check_name(origin)
    try:
        return socket.create_connection((origin.host, origin.port), SECONDS)
    except OSError as error:
        why = "no answer" if isinstance(error, TimeoutError) else error.strerror or type(error).__name__
        raise UnreachableError(
            "unreachable",
            f"{origin.host} port {origin.port}: no connection: {why}",
            "check that the service runs, the port in the address, and firewalls on the way",
        ) from error


def _peer(raw: socket.socket) -> str:
    host, port = raw.getpeername()[:2]
    return f"{host} port {port}"


def _handshake(
    found: Probes, raw: socket.socket, origin: Origin, config: HostConfig, now: datetime, within: timedelta
) -> bool:
    try:
        context = tls_context(config)
        peer = _peer(raw)
        try:
            with context.wrap_socket(raw, server_hostname=origin.host) as secure:
                found.ok("address", f"{peer} answers, {secure.version()}")
                _tell_end(found, secure.getpeercert(), now, within)
                return True
        except ssl.SSLCertVerificationError as error:
            raise _untrusted(origin, error, now) from error
        except ssl.SSLError as error:
            raise UpstreamError(
                "tls-failed",
                f"{peer} does not speak TLS ({error.reason or 'no handshake'})",
                f"write http://{origin.netloc} if the service has no TLS, or correct the port",
            ) from error
        except OSError as error:
            raise UnreachableError(
                "unreachable", f"{peer}: no handshake: {error.strerror or error}", "check the service and its log"
            ) from error
    except AirgapError as error:
        found.problem("certificate", error)
        return False


def _tell_end(found: Probes, certificate: Any, now: datetime, within: timedelta) -> None:
    text = (certificate or {}).get("notAfter")
    if not isinstance(text, str):
        return
    end = datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC)
    said = f"trusted, until {end:%Y-%m-%d}"
    if end - now < within:
        found.warn("certificate", f"{said}: {(end - now).days} days left", "renew the server's certificate")
    else:
        found.ok("certificate", said)


def _untrusted(origin: Origin, error: ssl.SSLCertVerificationError, now: datetime) -> UpstreamError:
    """The reason, and whose certificate it is. The certificate is read on a second connection that verifies nothing."""
    what = f"the certificate of {origin} is not trusted: {error.verify_message}"
    hint = "set caFile to the certificate of the authority that issued it"
    read = _read(origin)
    if read is not None:
        issuer, end, names = read
        what = f"{what} (issued by {issuer}, until {end:%Y-%m-%d}, for {', '.join(names[:5]) or 'no name'})"
        if end <= now:
            hint = "renew the server's certificate; if it is not expired, this machine's clock is wrong"
        elif "match" in error.verify_message.lower():
            hint = "use a name that the certificate has, or have it issued for this name"
    return UpstreamError("tls-untrusted", what, hint)


def _read(origin: Origin) -> tuple[str, datetime, list[str]] | None:
    """Issuer, end and names of a certificate; `None` if it cannot be read."""
    from cryptography import x509

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with _connected(origin) as raw, context.wrap_socket(raw, server_hostname=origin.host) as secure:
            data = secure.getpeercert(binary_form=True) or b""
        made = x509.load_der_x509_certificate(data)
        issuer = made.issuer.rfc4514_string()[:200]
        end = made.not_valid_after_utc
    except (OSError, ValueError, UpstreamError):
        return None
    try:
        alternative = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return issuer, end, [str(one.value)[:200] for one in alternative]
    except (x509.ExtensionNotFound, ValueError):
        return issuer, end, []


def probe_clock(found: Probes, date: str | None, now: datetime) -> None:
    """Compares this machine's clock with the `Date` of an answer. Does nothing without one."""
    try:
        server = datetime.strptime((date or "")[:64], HTTP_DATE).replace(tzinfo=UTC)
        difference = now - server
    except (ValueError, OverflowError):
        return
    seconds = round(abs(difference).total_seconds())
    said = f"this machine's clock is {seconds} s {'ahead of' if difference > timedelta() else 'behind'} the server's"
    hint = "see which of the two is wrong (`timedatectl`), and set it"
    if abs(difference) > SKEW:
        found.problem("clock", UpstreamError("clock", said, hint))
    elif abs(difference) > DRIFT:
        found.warn("clock", said, hint)
    else:
        found.ok("clock", "as here, within a minute")
