"""Access logs as links and clicks: each distinct path a link, each request a click at its time.

Clicks of a stretch of lines and the record that those lines are done are one append, so whatever
happens, and however often a file is imported, no line is counted twice or left out.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BufferedIOBase
from itertools import islice
from typing import Protocol, cast

from connectors.errors import ImportFailed
from connectors.gateway.enrich import Arrival, Enricher
from connectors.sources.apache_log import Malformed, Request, read_log
from connectors.vault.visitors import VisitorHasher, visitor_hasher
from schemas.catalog import Catalog
from schemas.event import Data
from schemas.ids import uuid7
from schemas.imports import IMPORTS, ImportAdvanced
from schemas.links import LinkClicked, LinkSubmitted
from streams.links.views import Link, Submission
from streams.log import Entry, Log, Position
from streams.sealing import Origin, Sealer
from streams.views import ViewStore

SOURCE = "import/apache-log"

# Lines to an append: large enough for speed, small enough to be one transaction.
STRETCH_LINES = 5_000

# How long agents may take to decide new links before the import gives up; it can be run again.
_DECISION_TIMEOUT_S = 60.0


class Keys(Protocol):
    """Where keys of new links come from."""

    async def take(self) -> str:
        """A key that nobody else has got or will get."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where an import goes.

    Attributes:
        base_url: what paths are appended to, without a slash at its end.
    """

    tenant: str
    base_url: str


@dataclass(slots=True)
class Imported:
    """What an import has read and added."""

    lines: int = 0
    clicks: int = 0
    malformed: int = 0
    links: int = 0
    skipped_lines: int = 0
    reasons: list[Malformed] = field(default_factory=list)


class LogImport:
    """Imports access logs into one tenant's links."""

    def __init__(
        self, log: Log, sealer: Sealer, store: ViewStore, keys: Keys, target: Target
    ) -> None:
        self._log = log
        self._sealer = sealer
        self._store = store
        self._keys = keys
        self._target = target
        self._enricher = Enricher()
        self._visitor: VisitorHasher = visitor_hasher()
        self._links: dict[str, str] = {}

    async def run(self, stream: BufferedIOBase, progress: Callable[[int], None]) -> Imported:
        """Import a stream to its end.

        Args:
            progress: called with the number of bytes read since the last call.

        Raises:
            DamagedLog: the stream ends in the middle; what came before is imported.
            ImportFailed: new links were not decided in time, or their keys were another's.
            LogUnavailable: the log cannot be written; run the import again when it can.
        """
        hashed = _Hashed(stream, f"{self._target.tenant}\n{self._target.base_url}\n")
        done = self._stretches_done()
        lines = read_log(cast(BufferedIOBase, hashed))
        total = Imported()
        while stretch := list(islice(lines, _next_stretch(total.lines, done))):
            total.lines += len(stretch)
            total.malformed += sum(1 for line in stretch if isinstance(line, Malformed))
            if hashed.prefix in done.get(total.lines, ()):
                total.skipped_lines += len(stretch)
            else:
                await self._add(stretch, hashed.prefix, total)
            progress(hashed.take_size())
        return total

    def _stretches_done(self) -> dict[int, set[str]]:
        """The prefixes that are in the log already, by their number of lines."""
        done: dict[int, set[str]] = {}
        for advance in _events(self._log, self._sealer.catalog):
            done.setdefault(advance.lines, set()).add(advance.prefix)
        return done

    async def _add(
        self, stretch: Sequence[Request | Malformed], prefix: str, total: Imported
    ) -> None:
        requests = [line for line in stretch if isinstance(line, Request)]
        malformed = [line for line in stretch if isinstance(line, Malformed)]
        total.links += await self._make_links({request.path for request in requests})
        entries = [self._entry(self._click(request), request) for request in requests]
        advance = ImportAdvanced(prefix, total.lines, len(requests), len(malformed))
        entries.append(self._entry(advance, None))
        await asyncio.wrap_future(self._log.append(entries))
        total.clicks += len(requests)
        total.reasons += malformed

    def _click(self, request: Request) -> LinkClicked:
        headers = {"user-agent": request.user_agent or "", "referer": request.referrer or ""}
        query = request.path.partition("?")[2]
        visit = self._enricher.visit(Arrival(request.method, query, request.address, headers))
        day = request.time.astimezone(UTC).date()
        return LinkClicked(
            link=self._links[request.path],
            visitor=self._visitor(day, request.address, request.user_agent or ""),
            kind=visit.kind,
            country=visit.country,
            device=visit.device,
            browser=visit.browser,
            os=visit.os,
            referrer=visit.referrer,
            utm_source=visit.utm_source,
            utm_medium=visit.utm_medium,
            utm_campaign=visit.utm_campaign,
            utm_term=visit.utm_term,
            utm_content=visit.utm_content,
        )

    def _entry(self, data: Data, at: Request | None) -> Entry:
        time = at.time.astimezone(UTC) if at else datetime.now(UTC)
        origin = Origin(source=SOURCE, tenant=self._target.tenant, time=time)
        return self._sealer.entry(data, origin, uuid7(int(time.timestamp() * 1000)))

    async def _make_links(self, paths: set[str]) -> int:
        """Find or make the links of some paths; how many are new."""
        unknown = [path for path in sorted(paths) if path not in self._links]
        missing = [path for path in unknown if not await self._find(path)]
        if not missing:
            return 0
        entries = [self._submission(path, await self._keys.take()) for path in missing]
        positions = await asyncio.wrap_future(self._log.append(entries))
        await self._decided(positions)
        async with asyncio.timeout(_DECISION_TIMEOUT_S):
            for path in missing:
                while not await self._find(path):
                    version = self._log.version()
                    if not await self._find(path):
                        await self._log.changed(version, timeout_s=1.0)
        return len(missing)

    async def _find(self, path: str) -> bool:
        """Whether a path's link has been decided; remembers it if so.

        Raises:
            ImportFailed: the link's key is another's.
        """
        reference = self._reference(path)
        submission = await self._store.get(Submission, self._target.tenant, (reference,))
        link = await self._store.get(Link, "", (submission.link,)) if submission else None
        if link is None:
            return False
        if (link.tenant, link.external_id) != (self._target.tenant, self._url(path)):
            raise ImportFailed(f"the key {link.link} is another link's: run the import again")
        self._links[path] = link.link
        return True

    async def _decided(self, positions: Sequence[Position]) -> None:
        last = {position[:2]: position for position in positions}
        for position in last.values():
            await self._store.wait(Submission, position, _DECISION_TIMEOUT_S)

    def _submission(self, path: str, key: str) -> Entry:
        url = self._url(path)
        submitted = LinkSubmitted(
            reference=self._reference(path), link=key, long_url=url, replaces=True, external_id=url
        )
        return self._entry(submitted, None)

    def _reference(self, path: str) -> str:
        return f"external/{self._url(path)}"

    def _url(self, path: str) -> str:
        return self._target.base_url + path


class _Hashed:
    """A stream whose lines are hashed as they are read."""

    def __init__(self, stream: BufferedIOBase, seed: str) -> None:
        self._stream = stream
        self._hash = hashlib.sha256(seed.encode())
        self._size = 0

    def readline(self, size: int = -1) -> bytes:
        """The next line, or the next `size` bytes of it."""
        line = self._stream.readline(size)
        self._hash.update(line)
        self._size += len(line)
        return line

    @property
    def prefix(self) -> str:
        """The hash of all that was read so far."""
        return self._hash.hexdigest()

    def take_size(self) -> int:
        """How many bytes were read since the last call."""
        size, self._size = self._size, 0
        return size


def _next_stretch(lines: int, done: dict[int, set[str]]) -> int:
    """How many lines to read until there is a prefix to compare, or to make."""
    ends = [end for end in done if end > lines]
    return min([STRETCH_LINES, *(end - lines for end in ends)])


def _events(log: Log, catalog: Catalog) -> Iterator[ImportAdvanced]:
    offset, _ = log.bounds(IMPORTS.name, 0)
    decoder = catalog.decoder(IMPORTS.name)
    while (records := log.read(IMPORTS.name, 0, offset, 1_000)) is not None:
        for event in decoder.many(records.values):
            if isinstance(event.data, ImportAdvanced):
                yield event.data
        offset = records.next_offset
