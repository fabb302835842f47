"""Measuring: interleaved rounds, medians, percentiles."""

import time
from collections.abc import Callable, Sequence
from statistics import median


def seconds(work: Callable[[], object]) -> float:
    """How long something takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compared(
    ours: Callable[[int], object], theirs: Callable[[int], object], rounds: int
) -> tuple[float, float, float]:
    """Median seconds of ours and of theirs, and the median of theirs ÷ ours, round by round.

    The two take turns, so that a slow spell of the machine falls on both.
    """
    pairs = [
        (seconds(lambda n=n: ours(n)), seconds(lambda n=n: theirs(n)))  # type: ignore[misc]
        for n in range(rounds)
    ]
    ratio = median(their_s / our_s for our_s, their_s in pairs)
    return median(our_s for our_s, _ in pairs), median(their_s for _, their_s in pairs), ratio


def percentile(values: Sequence[float], share: float) -> float:
    """The value that a share of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
