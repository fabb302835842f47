"""What the host does beside serving."""

import asyncio
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from connectors.errors import MasterKeyError
from connectors.vault.keyfile import KeyFile
from connectors.vault.sqlite import SqliteVault
from sixfold import host
from sixfold.errors import NoDirectory
from sixfold.host import Host
from sixfold.settings import GatewaySection, LogSection, Settings, VaultSection

_DAY_S = 86_400


def test_a_running_host_forgets_the_salts_of_past_days(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "_DROP_SALTS_S", 0.01)
    key = tmp_path / "master.key"
    settings = Settings(
        data=tmp_path / "data",
        vault=VaultSection(master_key=str(key)),
        gateway=GatewaySection(port=0),
    )

    async def run() -> None:
        running = Host(settings, with_gateway=False)
        await running.start()
        try:
            before = sum(running.platform.vault.versions_in_use().values())
            long_ago = SqliteVault.open(
                settings.data / "vault", KeyFile(key), clock=lambda: 20_000.0 * _DAY_S
            )
            with closing(long_ago):
                long_ago.visitor(date.fromordinal(date(1970, 1, 1).toordinal() + 20_000), "x")
                assert sum(long_ago.versions_in_use().values()) == before + 1
                async with asyncio.timeout(20):
                    while sum(long_ago.versions_in_use().values()) > before:
                        await asyncio.sleep(0.01)
        finally:
            await running.stop()

    asyncio.run(run())


def test_a_directory_that_cannot_be_made_is_named_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    in_a_file = tmp_path / "file" / "directory"
    vault = VaultSection(master_key=str(tmp_path / "keys" / "master.key"))
    free = GatewaySection(port=0)
    with pytest.raises(NoDirectory, match=r"^data: .*cannot be made: Not a directory"):
        asyncio.run(Host(Settings(data=in_a_file, vault=vault, gateway=free)).start())
    spilling = LogSection(spill=str(in_a_file))
    data = tmp_path / "data"
    with pytest.raises(NoDirectory, match=r"^log\.spill: .*cannot be made: Not a directory"):
        asyncio.run(Host(Settings(data=data, vault=vault, gateway=free, log=spilling)).start())
    keyless = VaultSection(master_key=str(in_a_file / "master.key"))
    with pytest.raises(MasterKeyError, match=r"master\.key cannot be made: Not a directory"):
        asyncio.run(Host(Settings(data=tmp_path / "other", vault=keyless, gateway=free)).start())
