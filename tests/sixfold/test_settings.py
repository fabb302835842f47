"""Settings: from a file, from the environment, and to where they matter."""

import re
from pathlib import Path

import pytest

from sixfold.errors import BadSettings
from sixfold.gateway import _link_settings
from sixfold.settings import load

LINKS = """
[links]
max_links = 5
usual_creations_per_minute = 7
usual_refusals_per_minute = 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "sixfold.toml"
    made.write_text(LINKS)
    return made


def test_limits_of_links_reach_the_gateway(file: Path) -> None:
    links = _link_settings(load(file, {}).links)
    assert links.max_links == 5
    assert links.usual_creations_per_minute == 7
    assert links.usual_refusals_per_minute == 3


def test_the_environment_wins(file: Path) -> None:
    variable = "SIXFOLD_LINKS_USUAL_REFUSALS_PER_MINUTE"
    assert load(file, {variable: "9"}).links.usual_refusals_per_minute == 9
    with pytest.raises(BadSettings, match=rf"{variable}: links\.usual_refusals_per_minute: .*>= 1"):
        load(file, {variable: "0"})


def test_a_wrong_setting_is_named_with_its_line(file: Path) -> None:
    file.write_text(f"{LINKS}colour = 'red'\n")
    with pytest.raises(BadSettings, match=r"sixfold\.toml:6: links\.colour: there is no such"):
        load(file, {})


@pytest.mark.parametrize(
    "setting",
    [
        "tenant = 'Not A Tenant'",
        "gateway.port = 99_999",
        "gateway.max_event_bytes = -1",
        "log.watermark_mb = -5",
        "links.region = 16",
        "links.base = -1",
        "links.cached = 0",
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_by_every_command(file: Path, setting: str) -> None:
    file.write_text(setting)
    with pytest.raises(BadSettings, match=re.escape(setting.partition(" ")[0])):
        load(file, {})


def test_a_list_in_the_environment_may_be_empty_and_have_spaces(file: Path) -> None:
    def blocked(value: str) -> list[str]:
        return load(file, {"SIXFOLD_LINKS_BLOCKED_HOSTS": value}).links.blocked_hosts

    assert blocked("") == []
    assert blocked("a.example, b.example") == ["a.example", "b.example"]


def test_a_file_that_cannot_be_read_is_named(file: Path, tmp_path: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    for unreadable in (file, tmp_path):
        with pytest.raises(BadSettings, match=rf"^{re.escape(str(unreadable))} cannot be read"):
            load(unreadable, {})
