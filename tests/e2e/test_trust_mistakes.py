"""`airgap trust`, and what else takes a trust root, with a mistake in every argument."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.worlds.cli_site import airgap
from tests.worlds.root_site import CUT, NAME, SIGN, TRUSTED, V1, copied, make_site
from tests.worlds.site import Site

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("made"))


@pytest.fixture
def site(made: Site, tmp_path: Path) -> Site:
    return copied(made, tmp_path / "site")


GOOD_PIN = ("v1.json", *NAME, "roots")


@pytest.mark.parametrize(
    ("line", "code", "name"),
    [
        (("show",), 2, "usage"),
        (("show", "nowhere"), 2, "usage"),
        (("show", "password"), 2, "bad-resource"),
        (("show", "r.lock.json"), 2, "bad-trust-root"),
        (("show", "exporter.pub"), 2, "bad-resource"),
        (("show", "r.request.yaml"), 2, "unknown-thing"),
        (("show", "store"), 2, "unknown-thing"),
        (("show", "v1.json", "v2.json"), 2, "usage"),
        (("shw", "v1.json"), 2, "usage"),
        (("pin", "nowhere", *NAME, "roots"), 2, "usage"),
        (("pin", "v1.json", "--roots", "roots"), 2, "usage"),
        (("pin", "v1.json", "--name", "sigstore"), 2, "usage"),
        (("pin", "v1.json", "--name", "../up", "--roots", "roots"), 2, "usage"),
        (("pin", "v1.json", "--name", ".tuf", "--roots", "roots"), 2, "usage"),
        (("pin", "v1.json", *NAME, "password"), 2, "bad-path"),
        (("pin", "r.lock.json", *NAME, "roots"), 2, "bad-trust-root"),
        (("pin", "v1.json", "v2.json", *NAME, "roots"), 2, "usage"),
        (("pin", "store", *NAME, "roots"), 2, "usage"),
        (("pin", "store", *NAME, "roots", *TRUSTED), 2, "no-delivery"),
        (("pin", *GOOD_PIN, "--approval", "v2.json"), 2, "usage"),
        (("pin", *GOOD_PIN, *TRUSTED, "--approval", "nowhere"), 2, "bad-approval"),
        (("pin", *GOOD_PIN, *TRUSTED, "--approval", "v2.json"), 4, "bad-bundle"),
        (("pin", *GOOD_PIN, "--trust", "nowhere"), 2, "resource-file"),
        (("pin", *GOOD_PIN, "--trust", "r.request.yaml"), 2, "bad-resource"),
        (("pin", *GOOD_PIN, "--retired"), 2, "usage"),
        (("update", "--roots", "roots"), 2, "usage"),
        (("update", "--name", "sigstore"), 2, "usage"),
        (("update", *NAME, "roots", "--tuf-url", "ftp://tuf.example"), 2, "bad-url"),
        (("update", *NAME, "roots", "--tuf-url", "nonsense"), 2, "bad-url"),
        (("update", *NAME, "roots", "--tuf-root", "nowhere"), 2, "bad-tuf-root"),
        (("update", *NAME, "roots", "--tuf-root", "v1.json"), 2, "bad-tuf-root"),
        (("update", *NAME, "roots", "--tuf-root", "exporter.pub"), 2, "bad-tuf-root"),
        (("update", *NAME, "roots", "--upstreams", "trust.yaml"), 2, "bad-resource"),
        (("update", *NAME, "password"), 2, "bad-path"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_pinned(made: Site, line: tuple[str, ...], code: int, name: str) -> None:
    airgap(made, "trust", *line).refused(code, name)
    assert not (made.folder / "roots").exists()


@pytest.mark.parametrize(
    ("root", "name"),
    [
        ("v1.json", "usage"),
        ("sigstore=", "usage"),
        ("Sigstore=v1.json", "usage"),
        ("sigstore=nowhere", "bad-trust-root"),
        ("sigstore=r.lock.json", "bad-trust-root"),
    ],
)
def test_what_is_no_root_is_not_carried(made: Site, root: str, name: str) -> None:
    airgap(made, *CUT, "wrong", "--trust-root", root).refused(2, name)
    assert not (made.folder / "wrong").exists()


def test_a_delivery_carries_one_version_of_a_name(made: Site) -> None:
    roots = ("--trust-root", "sigstore=v1.json", "--trust-root", "sigstore=v2.json")
    airgap(made, *CUT, "wrong", *roots).refused(2, "duplicate-name")


def test_a_damaged_root_is_not_approved(site: Site) -> None:
    (site.folder / "v1.json").write_bytes(V1.replace(b"tlogs", b"blogs"))
    airgap(site, "sign", "v1.json", *SIGN).refused(2, "bad-trust-root")
