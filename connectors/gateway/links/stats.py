"""Statistics of a link: what its days add up to, in the time and detail that is asked for."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum

import msgspec

from connectors.gateway.links.bodies import at
from connectors.gateway.problems import bad_field
from streams.links.views import DayCounts, Link, LinkDay, LinkTotals

MAX_DAYS = 366
DEFAULT_DAYS = 30


class Granularity(StrEnum):
    """How long the periods of a series are."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


class Period(msgspec.Struct):
    """The clicks of one hour, day or month (UTC).

    Attributes:
        start: of the period.
        uniques: different human visitors; of each day, so months add days up. None for hours.
    """

    start: str
    clicks: int
    uniques: int | None


class Stats(msgspec.Struct):
    """Clicks of a link.

    Attributes:
        clicks: by humans, ever; as are `bots` and `previews`.
        last_accessed: the newest click of a human.
        uniques: different human visitors per day, added up over the range.
        by: human clicks within the range, by dimension and value.
    """

    key: str
    clicks: int
    bots: int
    previews: int
    created_at: datetime
    last_accessed: datetime | None
    since: date
    until: date
    uniques: int
    series: list[Period]
    by: dict[str, dict[str, int]]


class Range(msgspec.Struct, frozen=True):
    """Days from the first to the last, both included."""

    since: date
    until: date

    @classmethod
    def of(cls, since: date | None, until: date | None, today: date) -> "Range":
        """What is asked for; the last 30 days if nothing is.

        Raises:
            Problem: 400: it ends before it begins, or is longer than a year.
        """
        until = until or today
        since = since or until - timedelta(days=DEFAULT_DAYS - 1)
        if since > until:
            raise bad_field("since", "must not be after until")
        if (until - since).days >= MAX_DAYS:
            raise bad_field("since", f"at most {MAX_DAYS} days at once")
        return cls(since, until)

    def days(self) -> Iterator[date]:
        """Every day of it."""
        for n in range((self.until - self.since).days + 1):
            yield self.since + timedelta(days=n)


def stats(
    link: Link,
    totals: LinkTotals | None,
    days: Sequence[LinkDay],
    within: Range,
    granularity: Granularity,
) -> Stats:
    """Add up what is asked for; what nobody clicked is 0."""
    counted = {day.day: day.counts for day in days}
    by: dict[str, Counter[str]] = {}
    for counts in counted.values():
        for dimension, values in counts.by.items():
            by.setdefault(dimension, Counter()).update(values)
    return Stats(
        key=link.link,
        clicks=totals.humans if totals else 0,
        bots=totals.bots if totals else 0,
        previews=totals.previews if totals else 0,
        created_at=at(link.created_ms),
        last_accessed=at(totals.last_ms) if totals and totals.last_ms is not None else None,
        since=within.since,
        until=within.until,
        uniques=sum(counts.uniques for counts in counted.values()),
        series=list(_series(counted, within, granularity)),
        by={dimension: dict(counter.most_common()) for dimension, counter in by.items()},
    )


def _series(
    counted: dict[str, DayCounts], within: Range, granularity: Granularity
) -> Iterator[Period]:
    none = DayCounts()
    days = ((day.isoformat(), counted.get(day.isoformat(), none)) for day in within.days())
    match granularity:
        case Granularity.DAY:
            for day, counts in days:
                yield Period(day, counts.humans, counts.uniques)
        case Granularity.HOUR:
            for day, counts in days:
                for hour, clicks in enumerate(counts.hours):
                    yield Period(f"{day}T{hour:02}:00:00Z", clicks, None)
        case Granularity.MONTH:
            months: dict[str, Period] = {}
            for day, counts in days:
                month = months.setdefault(day[:7], Period(day[:7], 0, 0))
                month.clicks += counts.humans
                month.uniques = (month.uniques or 0) + counts.uniques
            yield from months.values()
