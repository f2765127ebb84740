"""A report as one HTML file: it loads nothing, and nothing in it is markup but the template's own.

Jinja2 escapes every value; style and script are files of airgap, and their hashes are all that the page's
Content-Security-Policy allows. docs/adr/0023-a-report-is-one-file.md.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib import resources
from typing import TYPE_CHECKING, Any

from airgap.base.amounts import count, human
from airgap.base.errors import InputError
from airgap.base.times import utc_text
from airgap.content.scan_finding import Severity
from airgap.report.scans import view
from airgap.report.scans.model import ScanReport
from airgap.statements.gate import Effect

if TYPE_CHECKING:
    from jinja2 import Environment

PAGE = "page"
COLUMNS = (
    ("severity", "Severity"),
    ("id", "Finding"),
    ("package", "Where"),
    ("fixed", "Fixed in"),
    ("item", "Item"),
    ("decision", "Effect"),
)


def html_page(report: ScanReport) -> Iterator[bytes]:
    """The page, in pieces. Raises `InputError` (`missing-extra`) without Jinja2."""
    style, script = _file("report.css") + _foot(report), _file("report.js")
    template = _environment().from_string(_file("report.html.j2"))
    made = template.stream(
        report=report,
        style=_trusted(style),
        script=_trusted(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
        columns=COLUMNS,
        names=view.NAMES,
        limits=view.LIMITS,
        **view.seen(report),
    )
    made.enable_buffering(200)
    yield from (piece.encode("utf-8", "backslashreplace") for piece in made)


def _foot(report: ScanReport) -> str:
    """What stands on each printed page: outcome and digest, so that a loose page belongs to something."""
    said = f"airgap scan report: {report.outcome}"
    digest = report.about.digest or next((one.lock for one in report.verdicts), None)
    if digest is not None:
        said += f", {'delivery' if report.about.what == 'delivery' else 'lock'} {digest}"
    return f'@page {{ @bottom-left {{ content: "{said}"; font: 8pt sans-serif; }} }}\n'


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(PAGE, name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _trusted(text: str) -> Any:
    """A file of airgap's own, which the page contains as it is."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704


def _environment() -> Environment:
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        what = "writing HTML needs the Python package Jinja2"
        raise InputError("missing-extra", what, "pip install 'airgap[report]', or use --format json") from error
    made = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    made.filters |= {
        "moment": _moment,
        "rfc3339": utc_text,
        "human": human,
        "thousands": lambda number: f"{number:,}",
        "days": lambda seconds: (
            count(seconds // 86_400, "day") if seconds >= 86_400 else count(seconds // 3600, "hour")
        ),
        "said_by": _said_by,
        "effects": _effects,
        "plain_reason": lambda reason: reason.removeprefix("fail: ").removeprefix("finding-blocks: "),
        "is_web": lambda text: text.startswith(("https://", "http://")),
    }
    return made


def _moment(value: datetime) -> str:
    return f"{value:%Y-%m-%d %H:%M} UTC"


def _said_by(severities: Mapping[str, str]) -> str:
    return ", ".join(f"{name}: {one}" for name, one in severities.items())


def _effects(severity: Mapping[str, str]) -> str:
    """`critical → stops it; high → warns`: severities by their effect, the strictest first, the worst first."""
    given = {effect: [str(one) for one in Severity if severity.get(one) == effect] for effect in Effect}
    return "; ".join(f"{', '.join(those)} → {view.NAMES[effect]}" for effect, those in given.items() if those)
