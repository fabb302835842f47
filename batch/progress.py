"""How far a job has come."""

from collections.abc import Callable
from typing import NamedTuple


class Progress(NamedTuple):
    """How far a job has come."""

    topic: str
    done: int  # records, or rows
    total: int


OnProgress = Callable[[Progress], None]


def unseen(progress: Progress) -> None:
    """For whoever does not want to know."""
