import json
import os
from base64 import b64encode
from datetime import date

import pytest

from connectors.errors import MasterKeyError, NewerFormat
from connectors.vault.keyfile import KeyFile
from connectors.vault.master import (
    KEY_BYTES,
    EnvironmentMasterKey,
    EphemeralMasterKey,
    Wrapped,
)
from connectors.vault.opening import open_vault

KEY = b64encode(bytes(range(KEY_BYTES))).decode()
TODAY = date(2026, 7, 1)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys" / "master.key"


def test_what_is_wrapped_opens_with_the_same_key_and_context_only():
    master = EphemeralMasterKey()
    wrapped = master.wrap(b"secret", b"context")
    assert master.unwrap(wrapped, b"context") == b"secret"
    assert Wrapped.unpack(wrapped.pack()) == wrapped
    with pytest.raises(MasterKeyError):
        master.unwrap(wrapped, b"another context")
    with pytest.raises(MasterKeyError):
        EphemeralMasterKey().unwrap(wrapped, b"context")


def test_the_file_is_made_once_for_its_owner_alone(path):
    wrapped = KeyFile.create(path).wrap(b"secret", b"")
    assert path.stat().st_mode & 0o777 == 0o600
    assert KeyFile.create(path).unwrap(wrapped, b"") == b"secret"
    assert KeyFile(path).unwrap(wrapped, b"") == b"secret"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
def test_a_file_that_others_can_read_is_refused(path, mode):
    KeyFile.create(path)
    path.chmod(mode)
    with pytest.raises(
        MasterKeyError, match=r"open to other users: run `chmod 600 /.*master\.key`"
    ):
        KeyFile(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x81 no text",
        b"{",
        b"[]",
        b'{"format": "1"}',
        b'{"format": 1}',
        b'{"format": 1, "versions": {}}',
        b'{"format": 1, "versions": []}',
        b'{"format": 1, "versions": {"one": "%s"}}' % KEY.encode(),
        b'{"format": 1, "versions": {"0": "%s"}}' % KEY.encode(),
        b'{"format": 1, "versions": {"1": "%s"}}' % KEY[:-5].encode(),
        b'{"format": 1, "versions": {"1": "?"}}',
        b'{"format": 1, "versions": {"1": null}}',
    ],
)
def test_a_damaged_file_says_what_to_do_and_does_not_show_the_key(path, content):
    KeyFile.create(path)
    path.write_bytes(content)
    with pytest.raises(MasterKeyError, match="damaged: restore it from your backup") as refused:
        KeyFile(path)
    assert KEY[:8] not in str(refused.value)


def test_a_newer_file_is_refused(path):
    KeyFile.create(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    with pytest.raises(NewerFormat, match="has format 2"):
        KeyFile(path)


def test_a_new_version_wraps_and_the_old_one_still_opens(path):
    keys = KeyFile.create(path)
    old = keys.wrap(b"secret", b"")
    assert keys.rotate() == 2
    assert (old.version, keys.wrap(b"secret", b"").version) == (1, 2)
    assert KeyFile(path).unwrap(old, b"") == b"secret"
    keys.retire(1)
    with pytest.raises(MasterKeyError, match="version 1 of the master key is not in"):
        KeyFile(path).unwrap(old, b"")


def test_a_rotation_by_another_process_is_noticed(path):
    keys, other = KeyFile.create(path), KeyFile(path)
    other.rotate()
    wrapped = other.wrap(b"secret", b"")
    assert keys.unwrap(wrapped, b"") == b"secret"
    assert keys.wrap(b"secret", b"").version == 2
    assert keys.rotate() == 3
    assert other.describe().versions == (1, 2, 3)


def test_the_newest_and_unknown_versions_cannot_be_retired(path):
    keys = KeyFile.create(path)
    with pytest.raises(
        MasterKeyError, match="is the newest, which wraps: run `sixfold vault rotate`"
    ):
        keys.retire(1)
    with pytest.raises(MasterKeyError, match="has no version 7"):
        keys.retire(7)


def test_a_write_that_fails_leaves_the_old_file(path, monkeypatch):
    keys = KeyFile.create(path)
    before = path.read_bytes()
    with monkeypatch.context() as broken, pytest.raises(OSError, match="disk full"):
        broken.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
        keys.rotate()
    assert path.read_bytes() == before
    assert keys.describe().versions == (1,)
    assert keys.rotate() == 2


def test_a_file_that_vanished_is_missed(path):
    keys = KeyFile.create(path)
    path.unlink()
    with pytest.raises(MasterKeyError, match="missing: restore it"):
        keys.wrap(b"secret", b"")


def test_a_key_counts_as_backed_up_until_it_is_rotated(path):
    keys = KeyFile.create(path)
    assert keys.describe() == (str(path), (1,), False)
    keys.mark_backed_up(TODAY)
    assert KeyFile(path).describe() == (str(path), (1,), True)
    marker = json.loads((path.parent / "master.key.backed-up").read_text())
    assert marker["date"] == "2026-07-01"
    keys.rotate()
    assert keys.describe() == (str(path), (1, 2), False)
    keys.mark_backed_up(TODAY)
    assert keys.describe().backed_up
    keys.retire(1)
    assert keys.describe() == (str(path), (2,), True)


@pytest.mark.parametrize(
    "marker", ["", "[]", '"x"', "{}", '{"fingerprints": ["another"]}', '{"fingerprints": 1}']
)
def test_a_marker_of_something_else_does_not_count(path, marker):
    keys = KeyFile.create(path)
    (path.parent / "master.key.backed-up").write_text(marker)
    assert not keys.describe().backed_up


def test_the_environment_gives_one_key_or_several_versions():
    one = EnvironmentMasterKey(KEY)
    assert one.describe().versions == (1,)
    assert one.describe().backed_up
    other = b64encode(bytes(KEY_BYTES)).decode()
    several = EnvironmentMasterKey(f"1:{KEY}, 3:{other}")
    assert several.describe().versions == (1, 3)
    assert several.describe().current == 3
    assert several.unwrap(one.wrap(b"secret", b""), b"") == b"secret"


@pytest.mark.parametrize("value", ["", "x", KEY[:-4], f"0:{KEY}", f"one:{KEY}", f"{KEY},", "1:"])
def test_a_malformed_variable_is_explained_without_showing_it(value):
    with pytest.raises(MasterKeyError, match=r"SIXFOLD_MASTER_KEY: .*1:base64,2:base64") as refused:
        EnvironmentMasterKey(value)
    assert KEY[:8] not in str(refused.value)


def test_rotating_the_environment_is_left_to_the_operator():
    with pytest.raises(MasterKeyError, match="append ',2:' and 32 random bytes in base64"):
        EnvironmentMasterKey(KEY).rotate()


def test_the_first_start_makes_key_and_vault(tmp_path, path):
    vault = open_vault(tmp_path, path, {})
    ann = vault.pseudonym("acme", "ann")
    vault.close()
    vault = open_vault(tmp_path, path, {})
    assert vault.find("acme", "ann") == ann
    vault.close()


def test_the_environment_comes_before_the_file(tmp_path, path):
    open_vault(tmp_path, path, {"SIXFOLD_MASTER_KEY": KEY}).close()
    assert not path.exists()


def test_no_new_key_is_made_for_an_old_vault(tmp_path, path):
    open_vault(tmp_path, path, {}).close()
    path.unlink()
    with pytest.raises(MasterKeyError, match="is missing: restore it from your backup"):
        open_vault(tmp_path, path, {})
    assert not path.exists()
