"""Settings: from a file, from the environment, and to where they matter."""

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
