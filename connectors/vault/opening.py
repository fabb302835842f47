"""Where the master key comes from, and opening the vault with it."""

from collections.abc import Mapping
from pathlib import Path

from connectors.errors import MasterKeyError
from connectors.vault.keyfile import KeyFile
from connectors.vault.master import VARIABLE, EnvironmentMasterKey, MasterKeys
from connectors.vault.sqlite import VAULT_FILE, SqliteVault


def open_vault(directory: Path, key_file: Path, environment: Mapping[str, str]) -> SqliteVault:
    """Open a directory's vault; at the first start, make it and its master key.

    Raises:
        MasterKeyError: the key is missing although there is a vault, or it is damaged, or open to
            others, or not this vault's.
        NewerFormat: a later version of Sixfold wrote one of the files.
        SuppressionListLost: see `SqliteVault.open`.
    """
    return SqliteVault.open(directory, master_keys(directory, key_file, environment))


def master_keys(directory: Path, key_file: Path, environment: Mapping[str, str]) -> MasterKeys:
    """The master key: from the environment if it is set there, else from the file.

    Raises:
        MasterKeyError: it is missing although there is a vault, or it is damaged or open to others.
        NewerFormat: a later version of Sixfold wrote the file.
    """
    if VARIABLE in environment:
        return EnvironmentMasterKey(environment[VARIABLE])
    if key_file.exists():
        return KeyFile(key_file)
    if (directory / VAULT_FILE).exists():
        raise MasterKeyError(
            f"{directory} has a vault, but its master key {key_file} is missing: restore it from "
            f"your backup, or set {VARIABLE}; a new key would not open the vault"
        )
    return KeyFile.create(key_file)
