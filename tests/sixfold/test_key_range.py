"""Data that have links keep their region, and their base only grows."""

import asyncio
from pathlib import Path

import pytest

from schemas.links import LinkRequested
from sixfold.errors import BadSettings
from sixfold.host import Host
from sixfold.key_range import keep_key_range, key_blocks
from sixfold.platform import Platform
from sixfold.settings import GatewaySection, LinksSection, Settings, VaultSection
from streams.errors import RuleBroken
from streams.links.blocks import Blocks


class Data:
    """A data directory, which is opened with other settings again and again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def settings(self, region: int, base: int) -> Settings:
        return Settings(
            data=self._directory / "data",
            vault=VaultSection(master_key=str(self._directory / "master.key")),
            gateway=GatewaySection(port=0),
            links=LinksSection(region=region, base=base),
        )

    def host(self, region: int, base: int) -> None:
        """As a host does it when it starts."""
        with Platform.create(self.settings(region, base)) as platform:
            keep_key_range(platform)

    def gateway(self, region: int, base: int) -> Blocks:
        with Platform.create(self.settings(region, base)) as platform:
            return key_blocks(platform)

    def make_link(self) -> None:
        with Platform.create(self.settings(0, 0)) as platform:
            platform.append("main", "test", LinkRequested("abc", "https://example.com/")).result()


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return Data(tmp_path)


def test_the_region_of_data_with_links_does_not_change(data: Data) -> None:
    data.host(3, 0)
    data.make_link()
    data.host(3, 0)
    with pytest.raises(
        BadSettings, match=r"links.region is 4, but the links in \S+ were .* with 3"
    ):
        data.host(4, 0)
    assert data.gateway(3, 0) == Blocks(3, 0)


def test_the_base_is_raised_but_not_lowered(data: Data) -> None:
    data.host(0, 10)
    data.make_link()
    data.host(0, 20)
    with pytest.raises(BadSettings, match=r"links.base is 10, but links in \S+ were made with 20"):
        data.host(0, 10)
    assert data.gateway(0, 20) == Blocks(0, 20)


def test_while_there_are_no_links_anything_can_be_chosen(data: Data) -> None:
    data.host(3, 10)
    data.host(4, 0)
    assert data.gateway(4, 0) == Blocks(4, 0)


def test_data_from_before_this_was_kept_take_the_settings_that_they_are_given(data: Data) -> None:
    data.make_link()
    assert data.gateway(5, 7) == Blocks(5, 7)
    data.host(5, 7)
    with pytest.raises(BadSettings):
        data.host(0, 7)


def test_a_gateway_with_other_settings_than_the_host_is_refused(data: Data) -> None:
    data.host(1, 10)
    for region, base in ((2, 10), (1, 11), (1, 9)):
        with pytest.raises(BadSettings, match=f"are {region} and {base} here, but 1 and 10"):
            data.gateway(region, base)


def test_settings_that_make_no_sense_are_not_kept(data: Data) -> None:
    with pytest.raises(RuleBroken, match="region"):
        data.host(16, 0)
    data.host(0, 0)


def test_a_host_with_another_region_does_not_start(data: Data) -> None:
    async def started(region: int) -> None:
        host = Host(data.settings(region, 0))
        await host.start()
        await host.stop()

    asyncio.run(started(0))
    data.make_link()
    with pytest.raises(BadSettings, match=r"links.region is 1, but"):
        asyncio.run(started(1))
    asyncio.run(started(0))
