"""`pkcs11:` URIs and the modules that they name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airgap.base.errors import InputError
from airgap.statements.keys.pkcs11_uri import KeyUri, check_module, is_uri


def test_a_uri_is_read_with_its_escapes() -> None:
    path = "token=The%20Sovereign;serial=ab12;object=exporter-2027;id=%00%ff;type=private"
    text = f"pkcs11:{path}?module-path=/usr/lib/x.so"
    uri = KeyUri.parse(text)
    assert (uri.token, uri.serial, uri.label) == ("The Sovereign", "ab12", "exporter-2027")
    assert (uri.key_id, uri.module, uri.text) == (b"\x00\xff", "/usr/lib/x.so", text)
    assert KeyUri.parse("pkcs11:serial=1;id=%01") == KeyUri("pkcs11:serial=1;id=%01", serial="1", key_id=b"\x01")


def test_a_file_is_no_uri() -> None:
    assert not is_uri("exporter.key")
    assert not is_uri("./pkcs11:token=a")
    assert is_uri("PKCS11:token=a;object=b")
    assert KeyUri.parse("PKCS11:token=a;object=b").label == "b"


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "token=a",
        "object=a",
        "token=;object=a",
        "token=a;object=",
        "token=a;object=b;",
        "token=a;token=a;object=b",
        "token=a;object=b;type=public",
        "token=a;object=b;x-vendor=c",
        "token=a;object=b;model=c",
        "token=a;object=b?",
        "token=a;object=b?module-name=c",
        "token=a;object=b?module-path=/c&module-path=/d",
        "token=a b;object=b",
        "token=a%2;object=b",
        "token=a%zz;object=b",
        "token=%ff;object=b",
        "token=a\n;object=b",
        "token=" + "a" * 5000 + ";object=b",
    ],
)
def test_what_does_not_mean_one_key_is_refused(rest: str) -> None:
    with pytest.raises(InputError) as caught:
        KeyUri.parse("pkcs11:" + rest)
    assert caught.value.code == "bad-key-uri"


@pytest.mark.parametrize("pin", ["pin-value=1234", "pin-source=file:/pin-1234"])
@pytest.mark.parametrize("before", ["?", "?module-path=/x&", ";"])
def test_a_pin_in_a_uri_is_refused_and_not_repeated(pin: str, before: str) -> None:
    with pytest.raises(InputError) as caught:
        KeyUri.parse(f"pkcs11:token=a;object=b{before}{pin}")
    assert caught.value.code == "bad-key-uri"
    assert "--key-password-file" in caught.value.hint
    assert "1234" not in f"{caught.value} {caught.value.hint}"


def module(folder: Path) -> Path:
    path = folder / "module.so"
    path.write_bytes(b"")
    path.chmod(0o644)
    return path


def test_a_module_of_our_own_is_taken(tmp_path: Path) -> None:
    path = module(tmp_path)
    link = tmp_path / "link.so"
    link.symlink_to(path)
    assert check_module(str(link)) == path.resolve()


def test_a_module_that_others_can_change_is_refused(tmp_path: Path) -> None:
    path = module(tmp_path)
    link = tmp_path / "link.so"
    link.symlink_to("nowhere")
    for named in ("", "module.so", str(tmp_path), str(link), str(tmp_path / "none"), "/a\0b"):
        with pytest.raises(InputError) as caught:
            check_module(named)
        assert caught.value.code == "bad-module"
    for mode in (0o664, 0o646):
        path.chmod(mode)
        with pytest.raises(InputError, match="other users can change"):
            check_module(str(path))
    path.chmod(0o644)
    tmp_path.chmod(0o777)
    with pytest.raises(InputError, match="other users can change"):
        check_module(str(path))
    tmp_path.chmod(0o1777)
    assert check_module(str(path)) == path.resolve()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_module_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = module(tmp_path)
    os.chown(path, 4711, 4711)
    with pytest.raises(InputError, match="other users can change"):
        check_module(str(path))
