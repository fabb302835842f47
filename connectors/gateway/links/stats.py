"""Statistics of a link: what its days add up to, in the time and detail that is asked for."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import groupby

import msgspec

from connectors.gateway.links.bodies import at
from streams.errors import RuleBroken
from streams.links.stats import DIMENSIONS, MAX_VALUES
from streams.links.views import OTHER, DayCounts, Link, LinkDay, LinkTotals

MAX_DAYS = 3_660
MAX_DAYS_BY_HOUR = 31
DEFAULT_DAYS = 30


class Granularity(StrEnum):
    """How long the periods of a series are."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


class Period(msgspec.Struct, omit_defaults=True):
    """The clicks of one hour, day or month (UTC); hours have only those of humans.

    Attributes:
        start: `2026-05-01T13:00:00Z`, `2026-05-01`, or `2026-05`.
        uniques: different human visitors; a month has the sum of its days'.
    """

    start: str
    clicks: int
    uniques: int | None = None
    bots: int | None = None
    previews: int | None = None


class Stats(msgspec.Struct):
    """Clicks of a link.

    Attributes:
        clicks: by humans, ever; as are `bots` and `previews`.
        last_accessed: the newest click of a human.
        series: the clicks of the range; what nobody clicked is 0.
        by: human clicks of the range by dimension and value, most first; a click of which the
            value is not known is in none.
    """

    key: str
    clicks: int
    bots: int
    previews: int
    created_at: datetime
    last_accessed: datetime | None
    since: date
    until: date
    granularity: Granularity
    series: list[Period]
    by: dict[str, dict[str, int]]


class Range(msgspec.Struct, frozen=True):
    """Days (UTC) from the first to the last, both included."""

    since: date
    until: date
    granularity: Granularity

    @classmethod
    def of(
        cls, since: date | None, until: date | None, granularity: Granularity, today: date
    ) -> "Range":
        """What is asked for; the last 30 days if nothing is.

        Raises:
            RuleBroken: it ends before it begins, or is too long.
        """
        until = until or today
        if until.year < 1970:
            raise RuleBroken("until", "must be from 1970 on")
        since = since or until - timedelta(days=DEFAULT_DAYS - 1)
        if since > until:
            raise RuleBroken("since", "must not be after until")
        limit = MAX_DAYS_BY_HOUR if granularity is Granularity.HOUR else MAX_DAYS
        if (until - since).days >= limit:
            raise RuleBroken("since", f"at most {limit} days at once by {granularity}")
        return cls(since, until, granularity)

    @property
    def length(self) -> int:
        """How many days it has."""
        return (self.until - self.since).days + 1

    @property
    def day_before(self) -> str:
        """The last day before it."""
        return (self.since - timedelta(days=1)).isoformat()

    def days(self) -> Iterator[str]:
        """Every day of it."""
        for n in range(self.length):
            yield (self.since + timedelta(days=n)).isoformat()


def stats(
    link: Link,
    totals: LinkTotals | None,
    days: Sequence[LinkDay],
    within: Range,
    dimensions: Sequence[str],
) -> Stats:
    """Add up what is asked for.

    Args:
        days: on which there were clicks, those of the range and perhaps later ones.

    Raises:
        RuleBroken: there is no such dimension.
    """
    for dimension in dimensions:
        if dimension not in DIMENSIONS:
            raise RuleBroken("by", f"{dimension!r} is none of {', '.join(DIMENSIONS)}")
    totals = totals or LinkTotals(link.link, 0, 0, 0, None)
    counted = {day.day: day.counts for day in days if day.day <= within.until.isoformat()}
    return Stats(
        key=link.link,
        clicks=totals.humans,
        bots=totals.bots,
        previews=totals.previews,
        created_at=at(link.created_ms),
        last_accessed=None if totals.last_ms is None else at(totals.last_ms),
        since=within.since,
        until=within.until,
        granularity=within.granularity,
        series=list(_SERIES[within.granularity](within, counted)),
        by={dimension: _by(dimension, counted) for dimension in dimensions},
    )


def _by(dimension: str, counted: Mapping[str, DayCounts]) -> dict[str, int]:
    counter: Counter[str] = Counter()
    for counts in counted.values():
        counter.update(counts.by.get(dimension, {}))
    most = dict(counter.most_common(MAX_VALUES))
    rest = counter.total() - sum(most.values())
    if rest:
        most[OTHER] = most.get(OTHER, 0) + rest
    return most


def _by_hour(within: Range, counted: Mapping[str, DayCounts]) -> Iterator[Period]:
    for day in within.days():
        for hour, clicks in enumerate(counted.get(day, _NONE).hours):
            yield Period(f"{day}T{hour:02}:00:00Z", clicks)


def _by_day(within: Range, counted: Mapping[str, DayCounts]) -> Iterator[Period]:
    for day in within.days():
        counts = counted.get(day, _NONE)
        yield Period(day, counts.humans, counts.uniques, counts.bots, counts.previews)


def _by_month(within: Range, counted: Mapping[str, DayCounts]) -> Iterator[Period]:
    for month, days in groupby(within.days(), key=lambda day: day[:7]):
        counts = [counted[day] for day in days if day in counted]
        yield Period(
            month,
            sum(day.humans for day in counts),
            sum(day.uniques for day in counts),
            sum(day.bots for day in counts),
            sum(day.previews for day in counts),
        )


_NONE = DayCounts()
_SERIES = {Granularity.HOUR: _by_hour, Granularity.DAY: _by_day, Granularity.MONTH: _by_month}
