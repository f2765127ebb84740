"""The vulnerability database of the tests is what its advisories say."""

from __future__ import annotations

from tests.parts.trivy_db import FOLDER, advisories, trivy_db


def test_the_file_is_made_of_its_advisories() -> None:
    assert (FOLDER / "trivy.db").read_bytes() == trivy_db(advisories())


def test_every_advisory_has_a_source_and_a_vulnerability() -> None:
    said = advisories()
    known, sources = said.pop("vulnerability"), said.pop("data-source")
    assert sources.keys() == said.keys()
    named = {one for packages in said.values() for found in packages.values() for one in found}
    assert named == known.keys()
    readme = (FOLDER / "README.md").read_text()
    assert [one for one in sorted(named) if one not in readme] == []
