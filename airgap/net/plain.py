"""Plain HTTP: where it is used without being asked for, and where a secret may go over it.

The rule for registries is that of docker and crane: a registry at a loopback address (`localhost`, 127.0.0.0/8, `::1`)
that does not speak TLS is reached by plain HTTP. Everything else uses TLS, unless `plainHTTP: true` or an `http://`
address says otherwise. A password or token goes without TLS only to loopback, or where `plainHTTP: true` allows it.
"""

from __future__ import annotations

import socket
import ssl

from airgap.base.errors import InputError
from airgap.net.config import HostConfig
from airgap.net.origin import Origin

SECONDS = 5.0
"""For a connection to this machine, and a handshake on it."""
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNEXPECTED_EOF_WHILE_READING", "PACKET_LENGTH_TOO_LONG"})


def check_secret(origin: Origin, config: HostConfig) -> None:
    """Raises `InputError` (`plain-http`) if a secret would go to `origin` without TLS, and nothing allows that."""
    if origin.scheme == "http" and not config.plain_http and not origin.loopback:
        raise InputError(
            "plain-http",
            f"{origin}: the password or token would be sent without TLS, and everybody on the way could read it",
            f"use the https:// address, or set plainHTTP: true for {origin.netloc} next to its credentials",
        )


def is_plain_loopback(origin: Origin, config: HostConfig) -> bool:
    """True for a loopback address, without `caFile`, whose server does not speak TLS. Sends no request."""
    if not origin.loopback or config.ca_file is not None:
        return False
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # This only looks whether there is TLS: the connection is closed, and the request's own one is verified.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        raw = socket.create_connection((origin.host, origin.port), SECONDS)
    except OSError:
        return False
    with raw:
        try:
            context.wrap_socket(raw, server_hostname=origin.host).close()
        except ssl.SSLError as error:
            return error.reason in _NO_TLS or isinstance(error, ssl.SSLEOFError)
        except OSError:  # it hung up, or it is silent: it waits for a line
            return True
    return False
