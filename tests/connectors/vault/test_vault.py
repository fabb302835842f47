import json
import sqlite3
import subprocess
import sys
import threading
from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import MasterKeyError, NewerFormat
from connectors.vault.database import Database
from connectors.vault.datakey import DataKey
from connectors.vault.framing import framed
from connectors.vault.master import EphemeralMasterKey
from connectors.vault.sqlite import SqliteVault
from schemas.fields import Subject
from streams.errors import Erased, Tampered, VaultError


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    vault = SqliteVault.open(tmp_path_factory.mktemp("shared"), EphemeralMasterKey())
    yield vault
    vault.close()


def test_a_person_has_one_pseudonym_of_128_bits(vault):
    ann = vault.pseudonym("acme", "ann@example.com")
    assert len(bytes.fromhex(ann)) == 16
    assert vault.pseudonym("acme", "ann@example.com") == ann
    assert vault.find("acme", "ann@example.com") == ann


def test_other_persons_and_other_tenants_have_other_pseudonyms(vault):
    named = [("acme", "ann"), ("acme", "bob"), ("globex", "ann"), ("acm", "eann"), ("acme", "")]
    assert len({vault.pseudonym(*name) for name in named}) == len(named)


def test_a_pseudonym_is_derived_from_nothing(tmp_path):
    master = EphemeralMasterKey()
    made = set()
    for name in ("one", "two"):
        vault = SqliteVault.open(tmp_path / name, master)
        made.add(vault.pseudonym("acme", "ann"))
        vault.close()
    assert len(made) == 2


def test_finding_makes_no_pseudonym(vault, desk):
    assert vault.find("acme", "ann") is None
    assert desk.column("SELECT count(*) FROM subject") == [0]


def test_pseudonyms_and_keys_outlive_the_process(vault, desk):
    ann = vault.pseudonym("acme", "ann")
    sealed = vault.seal("acme", ann, "event", b"secret")
    desk.close()
    again = desk.open()
    assert again.pseudonym("acme", "ann") == ann
    assert again.unseal("acme", ann, "event", sealed) == b"secret"


def test_neither_name_nor_pseudonym_stands_on_disk_in_the_clear(vault, desk):
    ann = vault.pseudonym("acme", "ann@example.com")
    on_disk = desk.bytes_on_disk()
    [wrapped] = desk.column("SELECT wrapped FROM subject")
    assert wrapped in on_disk
    for hidden in (b"ann@example.com", ann.encode(), bytes.fromhex(ann)):
        assert hidden not in on_disk


names = st.text(max_size=40)


@given(tenant=names, person=names, context=st.text(), plain=st.binary())
def test_what_is_sealed_can_be_opened(shared, tenant, person, context, plain):
    subject = shared.pseudonym(tenant, person)
    sealed = shared.seal(tenant, subject, context, plain)
    assert shared.unseal(tenant, subject, context, sealed) == plain


@given(tenants=st.lists(names, min_size=2, max_size=2, unique=True), context=st.text())
def test_a_sealed_value_opens_only_for_its_tenant_subject_and_context(shared, tenants, context):
    tenant, other_tenant = tenants
    ann, bob = shared.pseudonym(tenant, "ann"), shared.pseudonym(tenant, "bob")
    sealed = shared.seal(tenant, ann, context, b"secret")
    for place in (
        (other_tenant, ann, context),
        (tenant, bob, context),
        (tenant, Subject("never made"), context),
        (tenant, ann, context + "x"),
        (tenant, ann, ""),
        (tenant, ann, context[1:]),
    ):
        if place != (tenant, ann, context):
            with pytest.raises(Tampered):
                shared.unseal(*place, sealed)


@given(plain=st.binary(max_size=40), at=st.integers(0), flip=st.integers(1, 255))
def test_a_changed_byte_is_noticed(shared, plain, at, flip):
    ann = shared.pseudonym("acme", "ann")
    raw = bytearray(b64decode(shared.seal("acme", ann, "event", plain)))
    raw[at % len(raw)] ^= flip
    with pytest.raises(Tampered):
        shared.unseal("acme", ann, "event", b64encode(raw).decode())


def test_a_value_is_bound_to_its_owner_even_under_the_same_key():
    owner, key = DataKey("acme", "ann", b"", bytes(32)), bytes(32)
    sealed = owner.seal("event", b"secret")
    assert DataKey("acme", "ann", b"", key).unseal("event", sealed) == b"secret"
    for tenant, subject in (("acme", "bob"), ("globex", "ann"), ("acm", "eann")):
        with pytest.raises(Tampered):
            DataKey(tenant, subject, b"", key).unseal("event", sealed)


@pytest.mark.parametrize("noise", ["\n", " ", "=", "-", "A"])
def test_a_sealed_value_is_taken_only_as_it_was_given(vault, noise):
    ann = vault.pseudonym("acme", "ann")
    sealed = vault.seal("acme", ann, "event", b"secret")
    for changed in (sealed + noise, noise + sealed, sealed[:8] + noise + sealed[8:]):
        with pytest.raises(Tampered):
            vault.unseal("acme", ann, "event", changed)


@pytest.mark.parametrize("sealed", ["", "AQ==", "no base64", "ünïcode", "AQID" * 9])
def test_what_was_never_sealed_does_not_open(vault, sealed):
    ann = vault.pseudonym("acme", "ann")
    with pytest.raises(Tampered):
        vault.unseal("acme", ann, "event", sealed)


def test_sealing_twice_gives_different_values(vault):
    ann = vault.pseudonym("acme", "ann")
    assert len({vault.seal("acme", ann, "event", b"same") for _ in range(100)}) == 100


def test_nothing_is_sealed_for_a_subject_that_does_not_exist(vault):
    with pytest.raises(Erased, match="never existed"):
        vault.seal("acme", Subject("f" * 32), "event", b"secret")


def test_sealing_with_a_key_in_use_does_not_go_to_the_disk(vault, monkeypatch):
    ann = vault.pseudonym("acme", "ann")
    sealed = vault.seal("acme", ann, "event", b"secret")
    reads = []
    rows = Database.rows
    monkeypatch.setattr(Database, "rows", lambda *a: reads.append(a) or rows(*a))
    for _ in range(1_000):
        vault.seal("acme", ann, "event", b"secret")
        vault.unseal("acme", ann, "event", sealed)
        vault.pseudonym("acme", "ann")
    assert len(reads) < 30  # only those that look, now and then, for erasures by others


def test_sealing_does_not_wait_for_a_writer(vault):
    ann = vault.pseudonym("acme", "ann")
    with vault._database.transaction():
        assert vault.seal("acme", ann, "event", b"secret")


def test_threads_racing_for_a_person_get_one_pseudonym(vault, desk):
    other = desk.open()
    found = []

    def ask(vault):
        found.extend(vault.pseudonym("acme", f"person {n}") for n in range(20))

    threads = [threading.Thread(target=ask, args=[v]) for v in (vault, vault, other, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80
    assert len(set(found)) == 20


ASK = """
import json, sys
from pathlib import Path
from connectors.vault.keyfile import KeyFile
from connectors.vault.sqlite import SqliteVault
directory = Path(sys.argv[1])
vault = SqliteVault.open(directory, KeyFile.create(directory / "master.key"))
print(json.dumps([vault.pseudonym("acme", f"person {n}") for n in range(100)]))
"""


def test_processes_racing_for_a_new_vault_agree_on_key_and_pseudonyms(tmp_path):
    command = [sys.executable, "-c", ASK, str(tmp_path)]
    asking = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
    first, second, third = (json.loads(process.communicate(timeout=60)[0]) for process in asking)
    assert first == second == third
    assert len(set(first)) == 100


def test_secrets_are_kept_replaced_and_dropped(vault, desk):
    assert vault.secret("acme", "webhook") is None
    vault.put_secret("acme", "webhook", b"old")
    vault.put_secret("acme", "webhook", b"new")
    vault.put_secret("globex", "webhook", b"theirs")
    assert desk.open().secret("acme", "webhook") == b"new"
    assert vault.drop_secret("acme", "webhook")
    assert not vault.drop_secret("acme", "webhook")
    assert vault.secret("acme", "webhook") is None
    assert vault.secret("globex", "webhook") == b"theirs"


def test_replaced_and_dropped_secrets_are_gone_from_disk(vault, desk):
    query = "SELECT wrapped FROM secret WHERE name = ?"
    vault.put_secret("acme", "webhook", b"old")
    [old] = desk.column(query, framed("secret", "acme", "webhook"))
    assert old in desk.bytes_on_disk()
    vault.put_secret("acme", "webhook", b"new")
    [new] = desk.column(query, framed("secret", "acme", "webhook"))
    assert old not in desk.bytes_on_disk()
    assert new in desk.bytes_on_disk()
    vault.drop_secret("acme", "webhook")
    assert new not in desk.bytes_on_disk()


def test_a_secret_moved_to_another_tenant_does_not_open(vault, desk):
    vault.put_secret("acme", "webhook", b"secret")
    connection = sqlite3.connect(desk.directory / "vault.db")
    moved, name = framed("secret", "globex", "webhook"), framed("secret", "acme", "webhook")
    assert connection.execute("UPDATE secret SET name = ? WHERE name = ?", (moved, name)).rowcount
    connection.commit()
    connection.close()
    with pytest.raises(MasterKeyError, match="damaged"):
        vault.secret("globex", "webhook")


def test_keyed_hashes_stay_and_depend_on_purpose_data_and_vault(vault, desk, tmp_path):
    hashed = vault.keyed_hash("api key", b"data")
    assert len(hashed) == 32
    assert vault.keyed_hash("cursor", b"data") != hashed
    assert vault.keyed_hash("api key", b"date") != hashed
    assert vault.keyed_hash("api", b" keydata") != hashed
    desk.close()
    assert desk.open().keyed_hash("api key", b"data") == hashed
    elsewhere = SqliteVault.open(tmp_path / "elsewhere", desk.master)
    assert elsewhere.keyed_hash("api key", b"data") != hashed
    elsewhere.close()


@pytest.mark.parametrize("name", ["vault.db", "suppressed.db"])
def test_a_newer_format_is_refused(vault, desk, name):
    desk.close()
    connection = sqlite3.connect(desk.directory / name)
    connection.execute("PRAGMA user_version=2")
    connection.close()
    with pytest.raises(NewerFormat, match=rf"{name} has format 2.*reads up to 1: upgrade Sixfold"):
        desk.open()


def test_another_master_key_is_refused(vault, desk):
    desk.master = EphemeralMasterKey()
    with pytest.raises(MasterKeyError, match="put back the key that belongs to it"):
        desk.open()


def test_only_the_owner_may_read_the_files(vault, desk):
    vault.pseudonym("acme", "ann")
    modes = {path.name: path.stat().st_mode & 0o777 for path in desk.directory.iterdir()}
    assert {"vault.db", "vault.db-wal", "suppressed.db"} <= modes.keys()
    assert set(modes.values()) == {0o600}
    assert desk.directory.stat().st_mode & 0o777 == 0o700


def test_a_file_that_is_no_vault_is_named(vault, desk):
    desk.close()
    (desk.directory / "vault.db").write_bytes(b"something else entirely" * 100)
    with pytest.raises(VaultError, match=r"vault\.db: file is not a database"):
        desk.open()
