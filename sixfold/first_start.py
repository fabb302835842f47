"""What is made once, when a data directory is new: the first API key, and the secret of keys."""

import os
import secrets
from pathlib import Path

import structlog

from schemas.access import ApiKeyCreated
from schemas.envelope import PLATFORM_TENANT
from sixfold.platform import Platform
from streams.access.secrets import ApiKeyText
from streams.access.views import ApiKey
from streams.log import Position

log = structlog.get_logger()

_FOLD_TIMEOUT_S = 30.0

ADMIN_KEY_FILE = "admin.key"
KEY_SPACE_SECRET = "links/keys"  # noqa: S105 — its name


async def first_start(platform: Platform) -> None:
    """Make what is missing.

    Raises:
        LogUnavailable: the log cannot be written; start again when it can.
    """
    if platform.vault.secret(PLATFORM_TENANT, KEY_SPACE_SECRET) is None:
        platform.vault.put_secret(PLATFORM_TENANT, KEY_SPACE_SECRET, secrets.token_bytes(32))
    file = platform.settings.data / ADMIN_KEY_FILE
    if not file.exists():
        position = _make_admin_key(platform, file)
        await platform.views.wait(ApiKey, position, _FOLD_TIMEOUT_S)


def _make_admin_key(platform: Platform, file: Path) -> Position:
    text = ApiKeyText.fresh()
    created = ApiKeyCreated(
        key=text.key, secret_hash=text.hash(platform.vault), name="admin", scopes=["admin"]
    )
    # The file first: a key that nobody knows would be worse than a file whose key is not known.
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(f"{text}\n")
        opened.flush()
        os.fsync(opened.fileno())
    try:
        tenant = platform.settings.tenant
        (position,) = platform.append(tenant, "sixfold/first-start", created).result()
    except BaseException:
        file.unlink()
        raise
    log.info("made an admin key", file=str(file), tenant=tenant)
    return position
