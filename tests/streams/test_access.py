from datetime import UTC, datetime, timedelta

import pytest

from schemas import access as schemas_access
from schemas.access import (
    ApiKeyCreated,
    ApiKeyRevoked,
    ApiKeyRotated,
    SigningKeyAdded,
    SigningKeyRemoved,
)
from schemas.catalog import Catalog
from streams.access import fold as access
from streams.access.secrets import ApiKeyText
from streams.access.views import ApiKey, SigningKey, TenantApiKey, TenantSigningKey
from streams.fold import Fold
from streams.rehearsal import Rehearsal

NOW = datetime(2026, 5, 1, tzinfo=UTC)
CREATED = ApiKeyCreated("k1", "hash1", "shop", ["links:read"])


def folded(*events):
    """The views after these events of the tenant acme."""
    rehearsal = Rehearsal(access)
    rehearsal.fold(*events, at=NOW)
    assert rehearsal.rejected == []
    return rehearsal.views


def test_a_created_key_is_found_by_its_id_and_by_its_tenant():
    views = folded(CREATED)
    assert views.get(ApiKey, "k1") == ApiKey(
        key="k1",
        tenant="acme",
        name="shop",
        scopes=("links:read",),
        secret_hash="hash1",
        created_at=NOW,
    )
    (listed,) = views.slice(TenantApiKey, "acme")
    assert (listed.name, listed.scopes) == ("shop", ("links:read",))


def test_a_rotated_key_has_both_secrets_for_a_time():
    until = NOW + timedelta(days=1)
    row = folded(CREATED, ApiKeyRotated("k1", "hash2", until)).get(ApiKey, "k1")
    assert (row.secret_hash, row.previous_hash, row.previous_until) == ("hash2", "hash1", until)


def test_only_the_secret_before_the_last_rotation_is_kept():
    rotations = [ApiKeyRotated("k1", "hash2", NOW), ApiKeyRotated("k1", "hash3", NOW)]
    row = folded(CREATED, *rotations).get(ApiKey, "k1")
    assert (row.secret_hash, row.previous_hash) == ("hash3", "hash2")


def test_a_revoked_key_is_gone_for_good():
    views = folded(CREATED, ApiKeyRevoked("k1"), ApiKeyRotated("k1", "hash2", NOW))
    assert views.get(ApiKey, "k1") is None
    assert views.slice(TenantApiKey, "acme") == []


def test_keys_that_do_not_exist_are_neither_rotated_nor_revoked():
    views = folded(ApiKeyRotated("k1", "hash2", NOW), ApiKeyRevoked("k1"))
    assert views.get(ApiKey, "k1") is None


def test_signing_keys_come_and_go():
    added = SigningKeyAdded("s1", "ES256", "app", ["links:read"], public_key="PEM")
    row = folded(added).get(SigningKey, "s1")
    assert (row.tenant, row.algorithm, row.audience, row.public_key) == (
        "acme",
        "ES256",
        "app",
        "PEM",
    )
    (listed,) = folded(added).slice(TenantSigningKey, "acme")
    assert (listed.key, listed.scopes, listed.added_at) == ("s1", ("links:read",), NOW)
    views = folded(added, SigningKeyRemoved("s1"))
    assert views.get(SigningKey, "s1") is None
    assert views.slice(TenantSigningKey, "acme") == []


def test_the_fold_keeps_the_rules_of_the_runtime():
    assert set(Fold.of(access).views) == {ApiKey, TenantApiKey, SigningKey, TenantSigningKey}


def test_no_client_may_post_what_lets_callers_in():
    types = Catalog.of(schemas_access).types_of("access")
    assert len(types) == 5
    assert all(type_.internal for type_ in types)


class FakeVault:
    def keyed_hash(self, purpose, data):
        return f"{purpose}:".encode().ljust(16, b"-") + data[-16:].rjust(16, b"-")


def test_a_key_s_text_is_read_back():
    text = ApiKeyText.fresh()
    assert ApiKeyText.parse(str(text)) == text
    assert len(text.secret) * 4 == 192


@pytest.mark.parametrize("text", ["", "sk_", "sk_id", "sk_id_", "sk__secret", "pk_id_secret"])
def test_what_is_no_key_s_text_is_not_read(text):
    assert ApiKeyText.parse(text) is None


def test_a_derived_key_is_the_same_again():
    vault = FakeVault()
    text = ApiKeyText.derived(vault, "acme", "request-1")
    assert text == ApiKeyText.derived(vault, "acme", "request-1")
    assert text != ApiKeyText.derived(vault, "acme", "request-2")
    assert len(text.secret) * 4 == 192


def test_the_hash_depends_on_id_and_secret():
    vault = FakeVault()
    hashes = {ApiKeyText(key, secret).hash(vault) for key in "ab" for secret in "cd"}
    assert len(hashes) == 4
