from pathlib import Path

import pytest

from connectors.errors import BadDatabase
from connectors.gateway.countries import CODES, Countries, country_code
from connectors.gateway.enrich import Arrival, Enricher


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """In the lower half of IPv4's addresses everybody is in Japan; nothing is known of the rest."""
    path = tmp_path / "countries.mmdb"
    path.write_bytes(mmdb({"country": {"iso_code": "JP"}}))
    return path


def test_addresses_are_looked_up_in_the_database(database: Path) -> None:
    countries = Countries(database)
    assert countries.of("1.2.3.4") == "JP"
    assert countries.of("200.2.3.4") is None
    assert countries.of("2a00::1") is None
    assert countries.of("nowhere") is None
    countries.close()


def test_the_country_of_registration_stands_in_and_nonsense_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "registered.mmdb"
    path.write_bytes(
        mmdb({"country": {"iso_code": "ZZ"}, "registered_country": {"iso_code": "fr"}})
    )
    countries = Countries(path)
    assert countries.of("1.2.3.4") == "FR"
    countries.close()


def test_the_database_comes_before_the_header(database: Path) -> None:
    countries = Countries(database)
    enricher = Enricher(countries, country_header="cf-ipcountry")
    visit = enricher.visit(Arrival("GET", "", "1.2.3.4", {"cf-ipcountry": "DE"}, via_proxy=True))
    assert visit.country == "JP"
    countries.close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.mmdb").write_text("no database")
    for name in ("text.mmdb", "missing.mmdb"):
        with pytest.raises(BadDatabase, match=name):
            Countries(tmp_path / name)


def test_codes_are_those_of_the_standard_and_kosovos() -> None:
    assert len(CODES) == 250
    assert country_code(" us ") == "US"
    assert country_code("UK") is None
    assert country_code(None) is None


def mmdb(value: dict[str, object]) -> bytes:
    """An MMDB file whose tree is one node: the left half of all addresses has a value.

    Format: the MaxMind DB File Format Specification, version 2.0.
    """
    nodes = 1
    left, right = nodes + 16, nodes  # the first value of the data section; nothing
    metadata: dict[str, object] = {
        "binary_format_major_version": uint16(2),
        "binary_format_minor_version": uint16(0),
        "build_epoch": b"\x08\x02" + (1).to_bytes(8),
        "database_type": "Test-Country",
        "description": {},
        "ip_version": uint16(4),
        "languages": b"\x00\x04",
        "node_count": b"\xc4" + nodes.to_bytes(4),
        "record_size": uint16(24),
    }
    tree = left.to_bytes(3) + right.to_bytes(3)
    return tree + bytes(16) + field(value) + b"\xab\xcd\xefMaxMind.com" + field(metadata)


def uint16(number: int) -> bytes:
    return b"\xa2" + number.to_bytes(2)


def field(value: object) -> bytes:
    """A map, a string, or a field that is already written, up to 28 long."""
    match value:
        case dict():
            pairs = [field(part) for pair in value.items() for part in pair]
            return bytes([0b111_00000 | len(value)]) + b"".join(pairs)
        case str():
            return bytes([0b010_00000 | len(value)]) + value.encode()
        case bytes():
            return value
        case _:
            raise TypeError(value)
