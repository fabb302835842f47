import json
from pathlib import Path

import pytest
from sample_events import CATALOG, declared

from schemas.catalog import Catalog
from schemas.compatibility import check
from schemas.errors import BreakingChange
from schemas.export import export


def test_every_type_has_its_file_beside_the_asyncapi_document(tmp_path: Path):
    written = export(CATALOG, tmp_path / "published")
    names = {f"{name}.json" for name in CATALOG.types} | {"asyncapi.json"}
    assert {path.name for path in written} == names
    assert {path.name for path in (tmp_path / "published").iterdir()} == names
    assert json.loads((tmp_path / "published/poll.voted.json").read_text())["title"] == "poll.voted"


def test_exporting_again_writes_nothing(tmp_path: Path):
    export(CATALOG, tmp_path)
    assert export(CATALOG, tmp_path) == []


def test_only_what_has_changed_is_written(tmp_path: Path):
    def catalog(**more: object) -> Catalog:
        return Catalog([declared("a.a", {"key": str}), declared("b.b", {"key": str} | more)])

    export(catalog(), tmp_path)
    written = export(catalog(note=(str | None, None)), tmp_path)
    assert [path.name for path in written] == ["b.b.json", "asyncapi.json"]
    assert check(catalog(note=(str | None, None)), tmp_path) == []


def test_a_breaking_change_is_not_published(tmp_path: Path):
    export(Catalog([declared("a.a", {"key": str, "to": str})]), tmp_path)
    before = {path: path.read_text() for path in tmp_path.iterdir()}
    broken = Catalog([declared("a.a", {"key": str, "to": int}), declared("b.b", {"key": str})])
    with pytest.raises(BreakingChange, match=r"a\.a: data\.to was string and is now integer"):
        export(broken, tmp_path)
    assert {path: path.read_text() for path in tmp_path.iterdir()} == before


def test_a_type_that_is_gone_keeps_its_file(tmp_path: Path):
    export(CATALOG, tmp_path)
    with pytest.raises(BreakingChange, match=r"poll\.opened: is published but not in the catalog"):
        export(Catalog([]), tmp_path)
    assert (tmp_path / "poll.opened.json").exists()
