"""link.clicked → statistics of each link. State: counts per link and day, visitors of recent days.

It also reads claims: whose a link is, and how many clicks it may have; it says so when it has had
them. Anybody may post clicks of any key, but those of another tenant's link count for nothing. A
claim and clicks are of different topics, so clicks may come first: until then they are counted as
their own tenant's, which comes to the same, since counts are kept by tenant and shown to the owner
of a link alone.
"""

from datetime import date, timedelta
from operator import attrgetter

import msgspec

from schemas.fields import Subject
from schemas.links import LinkChanged, LinkClicked, LinkRequested, LinkUsedUp
from streams.batch import Batch
from streams.effects import Effects
from streams.links.views import OTHER, DayCounts, LinkDay, LinkTotals, Popular
from streams.state import GlobalTable, Table, Tables

VERSION = 2  # visitors are those of a tenant, and only links that are claimed are popular

# Clicks come in masses: folding them in tens costs four times as much as in hundreds.
BATCH_INTERVAL_S = 0.05

# A visitor who clicks later than this after the day's end is counted as another unique visitor.
VISITORS_KEPT = timedelta(days=2)

# Values of one dimension, link and day that are counted by name. Crawlers invent referrers; SQL has
# them all.
MAX_VALUES = 1_000

# Per partition; a gateway warms the most clicked links of all partitions.
MAX_POPULAR = 250

DIMENSIONS = (
    *("country", "device", "browser", "os", "referrer"),
    *("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"),
)

_values = attrgetter(*DIMENSIONS)

Day = tuple[str, str]  # link, YYYY-MM-DD
Visitor = tuple[str, str, str, str]  # tenant, link, YYYY-MM-DD, hash


class Totals(msgspec.Struct, frozen=True, gc=False):
    """The clicks of a link since it was made."""

    humans: int = 0
    bots: int = 0
    previews: int = 0
    last_ms: int | None = None


class Cap(msgspec.Struct, frozen=True, gc=False):
    """How many human clicks a tenant's link may have; 0 is any number."""

    tenant: str
    clicks: int


class State(Tables):
    """Counts of clicks.

    `caps` has every claimed key, with its owner, since only the first claim counts; `fewest` has what
    a link needs more than to become one of the most clicked ones, or less than that.
    """

    caps: GlobalTable[str, Cap]
    totals: Table[str, Totals]
    days: Table[Day, DayCounts]
    visitors: GlobalTable[Visitor, bool]
    newest: GlobalTable[str, str]  # always "day"
    popular: GlobalTable[str, int]  # clicks of the most clicked links
    fewest: GlobalTable[str, int]  # always "clicks"


def fold(
    batch: Batch[LinkRequested | LinkChanged | LinkClicked], state: State, out: Effects
) -> None:
    """Count clicks."""
    changing: dict[tuple[str, Day], DayCounts] = {}
    for event in batch:
        match event.data:
            case LinkClicked() as click:
                cap = state.caps.get(click.link)
                if cap is not None and cap.tenant != event.tenant:
                    continue
                day = (click.link, event.time.date().isoformat())
                counts = changing.get((event.tenant, day))
                if counts is None:  # written once: they change in place until the batch ends
                    counts = changing[event.tenant, day] = _copy(state.days.get(day))
                    state.days[day] = counts
                    out.put(LinkDay(*day, counts))
                _count(click, event.time.hour, counts)
                humans = _total(click, int(event.time.timestamp() * 1000), state, out)
                if click.kind == "human":
                    visitor = (event.tenant, *day, click.visitor)
                    counts.uniques += _is_new_visitor(visitor, state)
                    if cap is not None:
                        _follow(click.link, humans, cap, state, out)
            case LinkRequested() as claim if claim.link not in state.caps:
                _cap(claim.link, Cap(event.tenant, claim.max_clicks or 0), state, out)
                _rank(claim.link, state.totals.get(claim.link, Totals()).humans, state, out)
            case LinkChanged() as change:
                before = state.caps.get(change.link)
                if before is not None and before.tenant == event.tenant:
                    _cap(change.link, Cap(event.tenant, change.max_clicks or 0), state, out)
            case _:
                pass


def erase(subject: Subject, state: State, out: Effects) -> None:
    """Nothing: counts name nobody, and visitors are hashes that nobody can compute any more."""


def _copy(counts: DayCounts | None) -> DayCounts:
    """Counts that one batch may change in place; what other batches hold stays as it is."""
    if counts is None:
        return DayCounts()
    by = {dimension: dict(values) for dimension, values in counts.by.items()}
    return msgspec.structs.replace(counts, hours=list(counts.hours), by=by)


def _count(click: LinkClicked, hour: int, counts: DayCounts) -> None:
    if click.kind == "bot":
        counts.bots += 1
    elif click.kind == "preview":
        counts.previews += 1
    else:
        counts.humans += 1
        counts.hours[hour] += 1
        for dimension, value in zip(DIMENSIONS, _values(click), strict=True):
            if value is not None:
                _add(counts.by.setdefault(dimension, {}), value)


def _add(values: dict[str, int], value: str) -> None:
    if value not in values and len(values) >= MAX_VALUES:
        value = OTHER
    values[value] = values.get(value, 0) + 1


def _is_new_visitor(visitor: Visitor, state: State) -> bool:
    day = visitor[2]
    if day > state.newest.get("day", ""):
        state.newest["day"] = day
        _forget_visitors(day, state)
    if visitor in state.visitors:
        return False
    state.visitors[visitor] = True
    return True


def _forget_visitors(newest: str, state: State) -> None:
    """Forget the visitors of days that are over for good."""
    oldest = (date.fromisoformat(newest) - VISITORS_KEPT).isoformat()
    old = [key for _, key, _ in state.visitors.items() if key[2] < oldest]
    for key in old:
        state.visitors.pop(key)


def _cap(link: str, cap: Cap, state: State, out: Effects) -> None:
    state.caps[link] = cap
    if 0 < cap.clicks <= state.totals.get(link, Totals()).humans:
        out.emit(LinkUsedUp(link, cap.clicks))


def _total(click: LinkClicked, time_ms: int, state: State, out: Effects) -> int:
    """Count a click; how many human ones there are now."""
    before = state.totals.get(click.link, Totals())
    is_human = click.kind == "human"
    totals = Totals(
        humans=before.humans + is_human,
        bots=before.bots + (click.kind == "bot"),
        previews=before.previews + (click.kind == "preview"),
        last_ms=max(before.last_ms or 0, time_ms) if is_human else before.last_ms,
    )
    state.totals[click.link] = totals
    out.put(LinkTotals(click.link, totals.humans, totals.bots, totals.previews, totals.last_ms))
    return totals.humans


def _follow(link: str, clicks: int, cap: Cap, state: State, out: Effects) -> None:
    """Note that a link has so many human clicks now."""
    if clicks == cap.clicks:
        out.emit(LinkUsedUp(link, clicks))
    _rank(link, clicks, state, out)


def _rank(link: str, clicks: int, state: State, out: Effects) -> None:
    """Keep the most clicked links; which ones they are changes rarely once there are enough."""
    if link in state.popular:
        state.popular[link] = clicks
        return
    if clicks <= state.fewest.get("clicks", 0):
        return
    if len(state.popular) >= MAX_POPULAR:
        fewest, least = min((n, key) for _, key, n in state.popular.items())
        state.fewest["clicks"] = fewest
        if clicks <= fewest:
            return
        del state.popular[least]
    state.popular[link] = clicks
    out.put(Popular(out.partition, tuple(sorted(key for _, key, _ in state.popular.items()))))
