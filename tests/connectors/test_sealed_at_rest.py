"""Without the vault's row nobody finds a subject's fields: not in the log, state, views or lake.

Files are decoded, since compression and encodings hide from a plain search what is there; and what
must be found is looked for in the same way, beside it.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import comments_fold
import pytest
from api import PollVoted, running
from at_rest import places_of
from comments_fold import Comment

from batch.archive import archive
from batch.lake import Lake
from connectors.log.sqlite import SqliteLog
from connectors.store.sqlite import SqliteCommitter, SqliteViews
from connectors.vault.master import Keyring
from connectors.vault.sqlite import SqliteVault
from schemas import access
from schemas.catalog import Catalog
from schemas.event import event_type_of
from schemas.fields import Subject
from streams.agent import Agent
from streams.errors import Erased
from streams.fold import Fold
from streams.sealing import Sealer
from streams.views import Views

CATALOG = Catalog([event_type_of(PollVoted), *Catalog.of(access).types.values()])
FOLD = Fold.of(comments_fold)
ANN, BOB = "ann.lee@example.com", "bob.ray@example.com"
SECRET = "grüner Tee, and no »sugar« whatsoever"
SECRET_PARTS = (SECRET, "no »sugar«", "whatsoever")
OPTION = 77_123_451

EVERY_STORE = {"log.db: segment", "log.db: view_comment_", "log.db: state_", "lake: polls.poll"}


class Rest(NamedTuple):
    """What is left on the disk, and who can open it."""

    directory: Path
    log: SqliteLog
    vault: SqliteVault

    @property
    def sealer(self) -> Sealer:
        return Sealer(CATALOG, self.vault)

    def votes(self) -> list[PollVoted]:
        """The votes as somebody reads them who may open what is sealed."""
        found = []
        decoder = CATALOG.decoder("polls")
        for partition in range(2):
            records = self.log.read("polls", partition, 0, 100)
            found += [
                self.sealer.opened(e).data for e in decoder.many(records.values if records else [])
            ]
        return found

    def comments(self, poll: str) -> list[str | None]:
        views = Views(SqliteViews(self.log, [FOLD]), self.sealer, "acme")

        async def rows() -> Sequence[Comment]:
            return await views.opened(await views.slice(Comment, poll))

        return [row.comment for row in asyncio.run(rows())]


async def _fold(log: SqliteLog, sealer: Sealer) -> None:
    agent = Agent(FOLD, SqliteCommitter(log), sealer, 2)
    committing = asyncio.create_task(agent.commit_forever())
    for partition in range(2):
        await agent.catch_up(log, CATALOG, "polls", partition)
    agent.stop()
    await committing


@pytest.fixture
def rest(tmp_path: Path) -> Iterator[Rest]:
    """Votes that came over HTTP, were folded and archived."""
    with running(tmp_path) as api:
        for poll, voter, comment in (("tea", ANN, SECRET), ("coffee", BOB, "black coffee")):
            data = {"poll": f"the poll about {poll}", "option": OPTION}
            body = {"type": "poll.voted", "data": data | {"voter": voter, "comment": comment}}
            assert api.client.post("/api/v1/events", json=body).status_code == 202
    with (
        closing(SqliteLog(tmp_path / "log.db", watermark_bytes=0)) as log,
        closing(SqliteVault.open(tmp_path, Keyring({1: bytes(32)}, "a test"))) as vault,
    ):
        asyncio.run(_fold(log, Sealer(CATALOG, vault)))
        archive(Lake(tmp_path / "lake", CATALOG), log)
        yield Rest(tmp_path, log, vault)


def stores_with(needle: str, directory: Path) -> set[str]:
    """In which tables and columns a text stands; those of all generations are one."""
    places = places_of(needle, directory)
    return {place.rstrip("0123456789") for place in places if ": raw" not in place}


def test_with_the_vaults_row_the_fields_can_be_read(rest: Rest) -> None:
    assert {vote.comment for vote in rest.votes()} == {SECRET, "black coffee"}
    assert rest.comments("the poll about tea") == [SECRET]


def test_no_personal_field_stands_anywhere_and_what_is_not_personal_stands_everywhere(
    rest: Rest,
) -> None:
    ann = rest.vault.find("acme", ANN)
    assert ann is not None
    for secret in (*SECRET_PARTS, ANN, "ann.lee", "black coffee", BOB):
        assert places_of(secret, rest.directory) == set(), secret
    # The positive control: the same search finds what is beside it, in every store.
    assert stores_with("the poll about tea", rest.directory) >= EVERY_STORE
    assert {"lake: polls.option", "log.db: segment"} <= stores_with(str(OPTION), rest.directory)
    # And it would find the personal ones, were they left in a file of any of these kinds.
    assert "lake: polls.subject" in stores_with(ann, rest.directory)


def test_without_the_vaults_row_they_are_gone_for_good(rest: Rest) -> None:
    ann = rest.vault.find("acme", ANN)
    assert ann is not None
    rest.vault.destroy("acme", Subject(ann))
    for secret in (*SECRET_PARTS, ANN):
        assert places_of(secret, rest.directory) == set(), secret
    with pytest.raises(Erased):
        rest.votes()
    assert rest.comments("the poll about tea") == [None]
    assert rest.comments("the poll about coffee") == ["black coffee"]
    # A copy of all files but the vault's row is as useless: its key is nowhere else.
    assert "log.db: segment" in stores_with(ann, rest.directory)
