"""Settings: from a file, from the environment, and to where they matter."""

import re
from pathlib import Path

import pytest

from connectors.store.cassandra.settings import Tls
from sixfold.errors import BadSettings
from sixfold.gateway import _link_settings
from sixfold.platform import Platform
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


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("gateway.trusted_proxies", '["10.0.0.0/8", "proxy"]', "'proxy' does not appear to be"),
        ("gateway.public_url", '"sho.rt"', "must begin with http"),
        ("gateway.public_url", '"https://sho.rt/?to="', "leave query and fragment out"),
        ("links.blocked_hosts", '["bad host"]', "host"),
        ("links.countries", '"/nowhere.mmdb"', "nowhere.mmdb"),
    ],
)
def test_what_only_the_gateway_uses_is_checked_before_anything_is_made(
    file: Path, setting: str, value: str, reason: str
) -> None:
    section, name = setting.split(".")
    file.write_text(f"[{section}]\n{name} = {value}\n")
    with pytest.raises(BadSettings, match=rf"sixfold\.toml:2: {re.escape(setting)}: .*{reason}"):
        load(file, {})


def test_a_wrong_setting_of_the_environment_is_named_by_its_variable(file: Path) -> None:
    with pytest.raises(BadSettings, match=r"SIXFOLD_GATEWAY_PUBLIC_URL: gateway\.public_url: "):
        load(file, {"SIXFOLD_GATEWAY_PUBLIC_URL": "sho.rt"})


def test_a_directory_that_is_no_text_is_named(file: Path) -> None:
    file.write_text("# where\ndata = 5\n")
    with pytest.raises(BadSettings, match=r"sixfold\.toml:2: data: Expected a path, got `int`"):
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


ELSEWHERE = {"SIXFOLD_LOG": "kafka://k:9092", "SIXFOLD_STORE": "cassandra://a,b:9043/views"}


def test_log_and_store_are_given_by_their_addresses_with_settings_beside(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("secret\n")
    more = {
        "SIXFOLD_STORE_USER": "ann",
        "SIXFOLD_STORE_PASSWORD_FILE": str(password),
        "SIXFOLD_STORE_TLS": "true",
        "SIXFOLD_STORE_CA": "ca.pem",
        "SIXFOLD_STORE_COPIES": "5",
    }
    loaded = load(tmp_path / "none.toml", ELSEWHERE | more)
    assert loaded.log.url == "kafka://k:9092"
    store = loaded.store.settings()
    assert (list(store.hosts), store.keyspace) == ([("a", 9042), ("b", 9043)], "views")
    assert (store.user, store.password, store.copies) == ("ann", "secret", 5)
    assert store.tls == Tls(ca="ca.pem")


def test_a_file_may_name_the_address_alone_or_in_its_section(file: Path) -> None:
    file.write_text("log = 'kafka://k'\n[store]\nurl = 'cassandra://a'\ndatacenter = 'here'\n")
    loaded = load(file, {})
    assert loaded.log.url == "kafka://k"
    assert (loaded.store.url, loaded.store.datacenter) == ("cassandra://a", "here")


@pytest.mark.parametrize("only", [*ELSEWHERE])
def test_there_are_two_pairs_of_log_and_store(file: Path, only: str) -> None:
    with pytest.raises(BadSettings, match=r"do not go together: set both.*or neither"):
        load(file, {only: ELSEWHERE[only]})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"SIXFOLD_STORE": "postgres://a"}, "store: 'postgres://a' is no address of Cassandra"),
        ({"SIXFOLD_LOG": "redis://a"}, "log.url: 'redis://a' is no address of Kafka"),
        ({"SIXFOLD_STORE_PASSWORD_FILE": "/nowhere"}, "password: .*/nowhere"),
        ({"SIXFOLD_STORE_TIMEOUT_S": "0"}, "SIXFOLD_STORE_TIMEOUT_S: store.timeout_s"),
    ],
)
def test_wrong_addresses_are_refused(file: Path, wrong: dict[str, str], message: str) -> None:
    with pytest.raises(BadSettings, match=message):
        load(file, ELSEWHERE | wrong)


def test_the_platform_does_not_take_another_store_than_it_was_told(tmp_path: Path) -> None:
    data = tmp_path / "data"
    settings = load(tmp_path / "none.toml", ELSEWHERE | {"SIXFOLD_DATA": str(data)})
    with pytest.raises(BadSettings, match="does not run on Kafka and Cassandra yet"):
        Platform.create(settings)
    assert not data.exists()
