import itertools
import sqlite3
import threading
from base64 import b64encode

import pytest

from connectors.errors import MasterKeyError
from connectors.vault.keyfile import KeyFile
from connectors.vault.master import KEY_BYTES, EnvironmentMasterKey
from connectors.vault.sqlite import SqliteVault
from streams.errors import Erased


@pytest.fixture
def keys(desk) -> KeyFile:
    """The desk's vault is opened with a key file instead."""
    desk.master = KeyFile.create(desk.directory.parent / "master.key")
    return desk.master


def test_everything_is_wrapped_under_the_new_version_and_the_old_one_can_go(desk, keys):
    vault = desk.open()
    people = {f"person {n}": vault.pseudonym("acme", f"person {n}") for n in range(30)}
    sealed = {s: vault.seal("acme", s, "event", s.encode()) for s in people.values()}
    vault.put_secret("acme", "webhook", b"secret")
    day = vault._salts.oldest()
    visitor = vault.visitor(day, "somebody")
    hashed = vault.keyed_hash("api key", b"data")
    assert vault.versions_in_use() == {1: 33}

    assert keys.rotate() == 2
    assert sum(vault.rewrap(batch=7)) == 33
    assert vault.versions_in_use() == {2: 33}
    vault.retire(1)

    desk.close()
    desk.master = KeyFile(desk.directory.parent / "master.key")
    assert desk.master.describe().versions == (2,)
    again = desk.open()
    assert {p: again.find("acme", p) for p in people} == people
    assert all(again.unseal("acme", s, "event", sealed[s]) == s.encode() for s in sealed)
    assert again.secret("acme", "webhook") == b"secret"
    assert again.visitor(day, "somebody") == visitor
    assert again.keyed_hash("api key", b"data") == hashed


def test_a_version_in_use_is_not_retired(desk, keys):
    vault = desk.open()
    vault.pseudonym("acme", "ann")
    keys.rotate()
    with pytest.raises(
        MasterKeyError, match="in use by 2 values: run `sixfold vault rewrap` first"
    ):
        vault.retire(1)
    with pytest.raises(MasterKeyError, match="version 2 is the newest, which wraps"):
        vault.retire(2)
    assert keys.describe().versions == (1, 2)


def test_rewrapping_that_was_interrupted_goes_on_where_it_stopped(desk, keys):
    vault = desk.open()
    for n in range(30):
        vault.pseudonym("acme", f"person {n}")
    keys.rotate()
    assert list(itertools.islice(vault.rewrap(batch=10), 2)) == [10, 10]
    assert vault.versions_in_use() == {1: 11, 2: 20}
    desk.close()
    vault = desk.open()
    assert sum(vault.rewrap(batch=10)) == 11
    assert list(vault.rewrap()) == []
    vault.retire(1)


def test_what_was_wrapped_under_the_old_version_is_gone_from_disk(desk, keys):
    vault = desk.open()
    vault.pseudonym("acme", "ann")
    held = desk.column("SELECT wrapped FROM subject UNION SELECT wrapped FROM secret")
    assert all(old in desk.bytes_on_disk() for old in held)
    keys.rotate()
    list(vault.rewrap())
    assert len(held) == 2
    assert not any(old in desk.bytes_on_disk() for old in held)


def test_the_erased_stay_erased_after_a_rotation(desk, keys):
    vault = desk.open()
    vault.destroy("acme", vault.pseudonym("acme", "ann"))
    keys.rotate()
    assert sum(vault.rewrap()) == 1  # the key of keyed hashes; the erased are not touched
    vault.retire(1)
    with pytest.raises(Erased):
        vault.pseudonym("acme", "ann")
    desk.close()
    with pytest.raises(Erased):
        desk.open().pseudonym("acme", "ann")


def test_a_process_from_before_the_rotation_wraps_under_the_new_version(desk, keys):
    running = SqliteVault.open(desk.directory, KeyFile(desk.directory.parent / "master.key"))
    vault = desk.open()
    keys.rotate()
    list(vault.rewrap())
    vault.retire(1)
    ann = running.pseudonym("acme", "ann")
    running.close()
    assert vault.versions_in_use() == {2: 2}
    assert vault.find("acme", "ann") == ann


def test_rotation_does_not_disturb_those_who_seal(desk, keys):
    vault, other = desk.open(), desk.open()
    sealed, failures, done = [], [], threading.Event()

    def work(vault: SqliteVault, name: str) -> None:
        try:
            for n in itertools.count():
                subject = vault.pseudonym("acme", f"{name} {n}")
                sealed.append((subject, vault.seal("acme", subject, "event", b"secret")))
                assert vault.unseal("acme", *reordered(sealed[-1])) == b"secret"
                if done.is_set():
                    return
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=a) for a in ((vault, "ann"), (other, "bob"))]
    for thread in threads:
        thread.start()
    for version in (1, 2, 3):
        keys.rotate()
        assert sum(vault.rewrap(batch=5)) > 0
        vault.retire(version)
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
    desk.close()
    again = desk.open()
    assert set(again.versions_in_use()) == {4}
    assert all(again.unseal("acme", *reordered(pair)) == b"secret" for pair in sealed)


def reordered(pair: tuple[str, str]) -> tuple[str, str, str]:
    subject, sealed = pair
    return subject, "event", sealed


def test_a_key_from_the_environment_is_rotated_by_adding_a_version(desk):
    first, second = (bytes([n]) * KEY_BYTES for n in (1, 2))
    desk.master = EnvironmentMasterKey(encoded(first))
    ann = desk.open().pseudonym("acme", "ann")
    desk.close()
    desk.master = EnvironmentMasterKey(f"1:{encoded(first)},2:{encoded(second)}")
    vault = desk.open()
    assert sum(vault.rewrap()) == 2
    with pytest.raises(MasterKeyError, match="take it out of SIXFOLD_MASTER_KEY"):
        vault.retire(1)
    desk.close()
    desk.master = EnvironmentMasterKey(f"2:{encoded(second)}")
    assert desk.open().find("acme", "ann") == ann


def encoded(key: bytes) -> str:
    return b64encode(key).decode()


def test_a_version_taken_away_too_early_is_named(desk):
    first, second = (bytes([n]) * KEY_BYTES for n in (1, 2))
    desk.master = EnvironmentMasterKey(encoded(first))
    desk.open()
    desk.close()
    desk.master = EnvironmentMasterKey(f"2:{encoded(second)}")
    with pytest.raises(MasterKeyError, match="version 1 of the master key is not in"):
        desk.open()


def test_a_row_moved_to_another_subject_does_not_open(vault, desk):
    ann, bob = vault.pseudonym("acme", "ann"), vault.pseudonym("acme", "bob")
    desk.close()
    connection = sqlite3.connect(desk.directory / "vault.db")
    connection.execute("UPDATE subject SET wrapped = (SELECT wrapped FROM subject WHERE id = 2)")
    connection.commit()
    connection.close()
    vault = desk.open()
    with pytest.raises(MasterKeyError, match="the vault is damaged"):
        vault.seal("acme", ann, "event", b"secret")
    assert vault.seal("acme", bob, "event", b"secret")
