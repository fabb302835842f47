"""Changing and deleting links: what was read is changed, unless somebody was faster."""

import asyncio

from connectors.gateway.links.bodies import LinkPatch
from connectors.gateway.links.checks import Checks
from connectors.gateway.links.creation import Made, Undecided
from connectors.gateway.problems import RETRY_AFTER_S, Problem, not_found
from schemas.ids import uuid7
from schemas.links import LinkChanged, LinkDeleted
from streams.errors import NotYetApplied
from streams.links.views import Link
from streams.log import Log
from streams.sealing import Origin, Sealer
from streams.views import ViewStore, opened

# Every try is lost to somebody whose change was made, so this many changes were made meanwhile.
_MAX_TRIES = 10


class Changes:
    """Changes and deletes links."""

    def __init__(
        self, log: Log, sealer: Sealer, store: ViewStore, checks: Checks, timeout_s: float
    ) -> None:
        """Append to a log, which must not be one that spills.

        Args:
            timeout_s: how long to wait until the views show what was appended.
        """
        self._log = log
        self._sealer = sealer
        self._store = store
        self._checks = checks
        self._timeout_s = timeout_s

    async def change(self, link: Link, patch: LinkPatch, origin: Origin) -> Made | Undecided:
        """Change a link; changes that others make at the same time to other fields stay.

        Raises:
            RuleBroken: what would become of it is not allowed.
            LogUnavailable: nothing was changed.
            Problem: 404: it was deleted meanwhile; 503: others change it again and again.
        """
        patch = await self._checks.patched(patch)
        for _ in range(_MAX_TRIES):
            (link,) = await opened(self._sealer, [link], origin.tenant)
            changed = await self._checks.change(link, patch, origin.time)
            id, outcome = await self._append(changed, origin)
            if isinstance(outcome, Undecided) or outcome.link.revision == id:
                return outcome
            link = outcome.link
            if link.deleted:
                not_found("link", link.link)
        retry = {"Retry-After": str(RETRY_AFTER_S)}
        raise Problem(503, "others change this link again and again: try later", headers=retry)

    async def delete(self, link: Link, origin: Origin) -> Made | Undecided:
        """Delete a link; deleting it twice is no error.

        Raises:
            LogUnavailable: it was not deleted.
        """
        _, outcome = await self._append(LinkDeleted(link.link), origin)
        return outcome

    async def _append(
        self, data: LinkChanged | LinkDeleted, origin: Origin
    ) -> tuple[str, Made | Undecided]:
        """Append what happens to a link; its id, and the link after it."""
        id = uuid7(int(origin.time.timestamp() * 1000))
        entry = await asyncio.to_thread(self._sealer.entry, data, origin, id)
        (position,) = await asyncio.wrap_future(self._log.append([entry]))
        try:
            await self._store.wait(Link, position, self._timeout_s)
        except NotYetApplied:
            return id, Undecided(position)
        link = await self._store.get(Link, "", (data.link,))
        assert link is not None  # links never go: deleted ones stay as such
        return id, Made(link, is_new=False, position=position)
