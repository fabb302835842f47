import random
import shutil
import subprocess
import sys
import time

import pytest

from connectors.errors import SuppressionListLost
from connectors.vault import tables
from connectors.vault.keyfile import KeyFile
from connectors.vault.sqlite import SqliteVault, rebuild_suppression_list
from schemas.fields import Subject
from streams.errors import Erased, Tampered, VaultError


def wrapped_in(desk) -> dict[str, bytes]:
    """Every subject's row, by the hash of its person."""
    rows = zip(
        desk.column("SELECT person FROM subject ORDER BY id"),
        desk.column("SELECT wrapped FROM subject ORDER BY id"),
        strict=True,
    )
    return dict(rows)


def fragments(value: bytes) -> list[bytes]:
    return [value[at : at + 16] for at in range(4, len(value) - 15, 16)]


def assert_erased(vault: SqliteVault, subject: Subject, sealed: str) -> None:
    with pytest.raises(Erased):
        vault.seal("acme", subject, "event", b"more")
    with pytest.raises(Erased):
        vault.unseal("acme", subject, "event", sealed)
    with pytest.raises(Erased, match="does not come back"):
        vault.pseudonym("acme", "ann")
    assert vault.find("acme", "ann") is None


def test_nothing_of_a_destroyed_subject_can_be_opened_or_made_again(vault):
    ann, bob = vault.pseudonym("acme", "ann"), vault.pseudonym("acme", "bob")
    sealed = vault.seal("acme", ann, "event", b"secret")
    assert vault.destroy("acme", ann)
    assert_erased(vault, ann, sealed)
    assert not vault.destroy("acme", ann)
    assert vault.find("acme", "bob") == bob
    assert vault.seal("acme", bob, "event", b"secret")


def test_only_the_tenant_whose_subject_it_is_can_destroy_it(vault):
    ann = vault.pseudonym("acme", "ann")
    assert not vault.destroy("globex", ann)
    assert not vault.destroy("acme", Subject("f" * 32))
    assert vault.seal("acme", ann, "event", b"secret")
    assert vault.destroy("acme", ann)
    assert vault.pseudonym("globex", "ann")


def test_the_bytes_of_destroyed_subjects_are_gone_from_disk(vault, desk):
    subjects = [vault.pseudonym("acme", f"person {n}") for n in range(400)]
    before = wrapped_in(desk)
    on_disk = desk.bytes_on_disk()
    assert all(wrapped in on_disk for wrapped in before.values())
    for subject in random.Random(1).sample(subjects, 150):
        vault.destroy("acme", subject)
    after = wrapped_in(desk)
    gone = [wrapped for person, wrapped in before.items() if after[person] != wrapped]
    on_disk = desk.bytes_on_disk()
    assert len(gone) == 150
    assert not any(part in on_disk for wrapped in gone for part in fragments(wrapped))
    assert sum(wrapped in on_disk for wrapped in after.values()) == 400


def test_a_restored_backup_does_not_bring_back_who_was_erased(vault, desk, tmp_path):
    ann = vault.pseudonym("acme", "ann")
    sealed = vault.seal("acme", ann, "event", b"secret")
    desk.back_up(tmp_path / "backup.db")
    shutil.copytree(desk.directory, tmp_path / "as it was")
    vault.destroy("acme", ann)
    desk.restore(tmp_path / "backup.db")
    [wrapped] = wrapped_in(desk).values()
    assert wrapped in desk.bytes_on_disk()
    assert_erased(desk.open(), ann, sealed)
    assert not any(part in desk.bytes_on_disk() for part in fragments(wrapped))

    # The backup itself is good: beside the list of its time, it opens what was sealed.
    (tmp_path / "as it was" / "vault.db").write_bytes((tmp_path / "backup.db").read_bytes())
    control = SqliteVault.open(tmp_path / "as it was", desk.master)
    assert control.unseal("acme", ann, "event", sealed) == b"secret"
    control.close()


def test_a_backup_from_before_a_person_came_does_not_let_them_in_either(vault, desk, tmp_path):
    bob = vault.pseudonym("acme", "bob")
    desk.back_up(tmp_path / "backup.db")
    ann = vault.pseudonym("acme", "ann")
    sealed = vault.seal("acme", ann, "event", b"secret")
    vault.destroy("acme", ann)
    desk.restore(tmp_path / "backup.db")
    restored = desk.open()
    assert_erased(restored, ann, sealed)
    assert restored.find("acme", "bob") == bob


def test_an_erasure_cut_short_is_finished_at_the_next_start(vault, desk, monkeypatch):
    ann = vault.pseudonym("acme", "ann")
    sealed = vault.seal("acme", ann, "event", b"secret")
    with monkeypatch.context() as cut, pytest.raises(ConnectionAbortedError):
        cut.setattr(tables, "apply", raising(ConnectionAbortedError))
        vault.destroy("acme", ann)
    [wrapped] = wrapped_in(desk).values()
    assert wrapped in desk.bytes_on_disk()
    desk.close()
    assert_erased(desk.open(), ann, sealed)
    assert wrapped not in desk.bytes_on_disk()


def test_an_erasure_that_failed_can_be_repeated(vault, monkeypatch):
    ann = vault.pseudonym("acme", "ann")
    sealed = vault.seal("acme", ann, "event", b"secret")
    with monkeypatch.context() as cut, pytest.raises(VaultError):
        cut.setattr(tables, "apply", raising(VaultError))
        vault.destroy("acme", ann)
    assert vault.destroy("acme", ann)
    assert_erased(vault, ann, sealed)


def test_a_key_cached_while_another_process_erases_it_does_not_survive(vault, desk, monkeypatch):
    ann = vault.pseudonym("acme", "ann")
    sealed = vault.seal("acme", ann, "event", b"secret")
    other = desk.open()

    def apply_slowly(*arguments):
        until_followed(other)  # it is on the list already, but the row is still there
        assert other.unseal("acme", ann, "event", sealed) == b"secret"
        apply(*arguments)

    apply = tables.apply
    monkeypatch.setattr(tables, "apply", apply_slowly)
    vault.destroy("acme", ann)
    until_followed(other)
    assert_erased(other, ann, sealed)


def until_followed(vault: SqliteVault) -> None:
    """As if the time had passed after which a process looks for erasures by others."""
    vault._subjects._follow_at_s = 0.0


def raising(error: type[Exception]):
    def fail(*_: object) -> None:
        raise error

    return fail


DESTROY = """
import sys
from pathlib import Path
from connectors.vault.keyfile import KeyFile
from connectors.vault.sqlite import SqliteVault
directory = Path(sys.argv[1])
vault = SqliteVault.open(directory, KeyFile(directory / "master.key"))
assert vault.destroy("acme", sys.argv[2])
"""


def test_what_another_process_erases_is_unreadable_within_a_second(tmp_path):
    vault = SqliteVault.open(tmp_path, KeyFile.create(tmp_path / "master.key"))
    ann = vault.pseudonym("acme", "ann")
    sealed = vault.seal("acme", ann, "event", b"secret")
    subprocess.run([sys.executable, "-c", DESTROY, str(tmp_path), ann], check=True, timeout=60)
    deadline = time.monotonic() + 1.0
    with pytest.raises(Erased):
        while time.monotonic() < deadline:
            vault.unseal("acme", ann, "event", sealed)
    assert_erased(vault, ann, sealed)
    vault.close()


def test_a_lost_list_is_noticed_and_can_be_rebuilt(vault, desk):
    ann, bob = vault.pseudonym("acme", "ann"), vault.pseudonym("acme", "bob")
    sealed = vault.seal("acme", ann, "event", b"secret")
    vault.destroy("acme", ann)
    desk.close()
    for path in desk.directory.glob("suppressed.db*"):
        path.unlink()
    with pytest.raises(SuppressionListLost, match="restore the newest copy"):
        desk.open()
    assert rebuild_suppression_list(desk.directory) == 1
    rebuilt = desk.open()
    assert_erased(rebuilt, ann, sealed)
    assert rebuilt.destroy("acme", bob)
    desk.close()
    assert desk.open().find("acme", "bob") is None


def test_a_list_of_another_vault_is_refused(vault, desk, tmp_path):
    desk.close()
    SqliteVault.open(tmp_path / "another", desk.master).close()
    theirs = (tmp_path / "another" / "suppressed.db").read_bytes()
    (desk.directory / "suppressed.db").write_bytes(theirs)
    with pytest.raises(SuppressionListLost, match="is not the vault's"):
        desk.open()


def test_a_list_older_than_the_vault_is_refused(vault, desk):
    ann, bob = vault.pseudonym("acme", "ann"), vault.pseudonym("acme", "bob")
    vault.destroy("acme", ann)
    desk.close()
    older = (desk.directory / "suppressed.db").read_bytes()
    desk.open().destroy("acme", bob)
    desk.close()
    (desk.directory / "suppressed.db").write_bytes(older)
    with pytest.raises(SuppressionListLost, match="older than it"):
        desk.open()


def test_a_list_without_its_vault_is_refused(vault, desk):
    vault.destroy("acme", vault.pseudonym("acme", "ann"))
    desk.close()
    for path in desk.directory.glob("vault.db*"):
        path.unlink()
    with pytest.raises(SuppressionListLost, match=r"no vault\.db: restore it from a backup"):
        desk.open()
    with pytest.raises(VaultError, match="there is no vault"):
        rebuild_suppression_list(desk.directory)


def test_a_value_of_a_subject_that_never_was_is_tampered_with_not_erased(vault):
    ann = vault.pseudonym("acme", "ann")
    sealed = vault.seal("acme", ann, "event", b"secret")
    with pytest.raises(Tampered, match="never had the subject"):
        vault.unseal("globex", ann, "event", sealed)


def test_a_reader_that_stays_does_not_leave_destroyed_bytes_unnoticed(vault, desk, monkeypatch):
    monkeypatch.setattr("connectors.vault.database._BUSY_TIMEOUT_S", 0.0)
    ann = vault.pseudonym("acme", "ann")
    other = desk.open()
    other._database._reader.execute("BEGIN")
    other._database._reader.execute("SELECT count(*) FROM subject").fetchall()
    vault._database._writer.execute("PRAGMA busy_timeout=0")
    with pytest.raises(VaultError, match="try again"):
        vault.destroy("acme", ann)
    other._database._reader.execute("COMMIT")
    assert not vault.destroy("acme", ann)
    assert (desk.directory / "vault.db-wal").stat().st_size == 0
