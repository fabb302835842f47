"""The master key in a file: mode 0600, several versions, written atomically."""

import json
import os
from base64 import b64encode
from collections.abc import Mapping
from datetime import date
from os import urandom
from pathlib import Path

from connectors.errors import MasterKeyError, NewerFormat
from connectors.vault.files import exclusive, write_atomically
from connectors.vault.master import KEY_BYTES, Description, Keyring, Wrapped, checked, decode_key

FORMAT = 1

Stamp = tuple[int, int]


class KeyFile(Keyring):
    """A key file, which other processes may rotate at any time.

    Wrapping looks whether the file has changed, so that a process which was running before a
    rotation does not go on using a version that is about to be retired.
    """

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            MasterKeyError: it is missing, damaged, or open to others.
            NewerFormat: a later version of Sixfold wrote it.
        """
        self._path = path
        self._stamp = _stamp(path)
        super().__init__(_read(path), str(path))

    @classmethod
    def create(cls, path: Path) -> "KeyFile":
        """Make the file with a random key, unless it exists, and read it.

        Raises:
            MasterKeyError: its directory cannot be made, or it cannot be read.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise MasterKeyError(
                f"the directory of {path} cannot be made: {error.strerror}"
            ) from error
        with exclusive(_lock(path)):
            if not path.exists():
                _write(path, {1: urandom(KEY_BYTES)})
        return cls(path)

    def wrap(self, plain: bytes, context: bytes) -> Wrapped:
        """See `MasterKeys.wrap`."""
        self._refresh()
        return super().wrap(plain, context)

    def unwrap(self, wrapped: Wrapped, context: bytes) -> bytes:
        """See `MasterKeys.unwrap`."""
        if wrapped.version not in self._ciphers:
            self._refresh()
        return super().unwrap(wrapped, context)

    def describe(self) -> Description:
        """See `MasterKeys.describe`."""
        self._refresh()
        return super().describe()

    def rotate(self) -> int:
        """See `MasterKeys.rotate`."""
        with exclusive(_lock(self._path)):
            self._refresh()
            return super().rotate()

    def retire(self, version: int) -> None:
        """See `MasterKeys.retire`."""
        with exclusive(_lock(self._path)):
            self._refresh()
            super().retire(version)

    def mark_backed_up(self, today: date) -> None:
        """Remember that the operator keeps a copy of all versions that exist now."""
        self._refresh()
        marker = {"fingerprints": self._fingerprints(), "date": today.isoformat()}
        write_atomically(self._marker, json.dumps(marker))

    @property
    def _marker(self) -> Path:
        return self._path.with_name(f"{self._path.name}.backed-up")

    def _backed_up(self) -> bool:
        try:
            kept = set(json.loads(self._marker.read_text())["fingerprints"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return False  # a damaged marker only means that the operator is warned again
        return kept.issuperset(self._fingerprints())

    def _refresh(self) -> None:
        stamp = _stamp(self._path)
        if stamp != self._stamp:
            super()._replace(_read(self._path))
            self._stamp = stamp

    def _replace(self, keys: Mapping[int, bytes]) -> None:
        _write(self._path, keys)
        super()._replace(keys)


def _stamp(path: Path) -> Stamp:
    """Differs after the file was replaced."""
    try:
        found = path.stat()
    except FileNotFoundError:
        raise MasterKeyError(
            f"the master key {path} is missing: restore it from your backup"
        ) from None
    return found.st_ino, found.st_mtime_ns


def _lock(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _read(path: Path) -> dict[int, bytes]:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise MasterKeyError(f"{path} is open to other users: run `chmod 600 {path}`")
        content = file.read()
    try:
        document = json.loads(content)
        if document["format"] > FORMAT:
            raise NewerFormat(
                f"{path} has format {document['format']}, and this Sixfold reads up to {FORMAT}: "
                "upgrade Sixfold"
            )
        return checked({int(v): decode_key(key) for v, key in document["versions"].items()})
    except (ValueError, KeyError, TypeError, AttributeError):
        raise MasterKeyError(
            f"the master key {path} is damaged: restore it from your backup; a new key would not "
            "open the vault"
        ) from None


def _write(path: Path, keys: Mapping[int, bytes]) -> None:
    versions = {str(version): b64encode(key).decode() for version, key in sorted(keys.items())}
    write_atomically(path, json.dumps({"format": FORMAT, "versions": versions}, indent=1))
