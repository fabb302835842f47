"""Runs of jobs: what a job has done is an event in the log, like everything that happens."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from schemas.batch import BatchRan

Counts = dict[str, int]
"""What a job has done; it fills them in while it runs."""


@contextmanager
def recorded(job: str, record: Callable[[BatchRan], object]) -> Iterator[Counts]:
    """Run a job within: when it has ended, a record of it is left, and of a failure too.

    A failure is raised again, whether or not it could be recorded.

    Args:
        record: appends the record durably, or raises.
    """
    started_s = time.perf_counter()
    counts: Counts = {}

    def ran(status: str, error: str | None = None) -> BatchRan:
        duration_ms = round((time.perf_counter() - started_s) * 1000)
        return BatchRan(job, status, duration_ms, dict(counts), error)

    try:
        yield counts
    except BaseException as failure:
        try:
            record(ran("failed", type(failure).__name__))
        except Exception as unrecorded:
            failure.add_note(f"nor could a record of the run be left: {unrecorded}")
        raise
    record(ran("done"))
