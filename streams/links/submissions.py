"""link.submitted → claims. State: which link a reference stands for.

A reference is decided in its own partition, and a key in the key's: the one emits a claim to the
other, and hears from it if the key was another's.
"""

from datetime import timedelta

import msgspec

from schemas.fields import Subject
from schemas.links import LinkChanged, LinkRefused, LinkRequested, LinkSubmitted
from streams.batch import Batch
from streams.effects import Effects
from streams.links.views import Submission
from streams.state import Table, Tables

# How long an idempotency key is good for.
_KEPT_MS = timedelta(days=7) // timedelta(milliseconds=1)


class Submitted(msgspec.Struct, frozen=True, gc=False):
    """What a reference stands for."""

    link: str
    time_ms: int


class State(Tables):
    """Links by reference."""

    submitted: Table[str, Submitted]


def fold(batch: Batch[LinkSubmitted | LinkRefused], state: State, out: Effects) -> None:
    """Turn the first submission of a reference into a claim, and later ones into changes."""
    for event in batch:
        data = event.data
        before = state.submitted.get(data.reference)
        if isinstance(data, LinkRefused):
            if before is not None and before.link == data.link:
                del state.submitted[data.reference]
                out.delete(Submission, data.reference)
            continue
        time_ms = int(event.time.timestamp() * 1000)
        if before is None or _is_over(before, data, time_ms):
            state.submitted[data.reference] = Submitted(data.link, time_ms)
            out.emit(_claim(data, event.id))
            out.put(Submission(data.reference, data.link, event.id))
        elif data.replaces:
            out.emit(_change(data, before.link, event.id))
            out.put(Submission(data.reference, before.link, event.id))


def erase(subject: Subject, state: State, out: Effects) -> None:
    """Nothing: what is kept of a submission names nobody."""


def _is_over(before: Submitted, data: LinkSubmitted, time_ms: int) -> bool:
    return not data.replaces and time_ms - before.time_ms > _KEPT_MS


def _claim(data: LinkSubmitted, submission: str) -> LinkRequested:
    return LinkRequested(
        link=data.link,
        long_url=data.long_url,
        is_alias=data.is_alias,
        redirect_code=data.redirect_code,
        expires_at_ms=data.expires_at_ms,
        expired_url=data.expired_url,
        max_clicks=data.max_clicks,
        password_hash=data.password_hash,
        audit=data.audit,
        tags=data.tags,
        external_id=data.external_id,
        created_by=data.created_by,
        reference=data.reference,
        submission=submission,
    )


def _change(data: LinkSubmitted, link: str, submission: str) -> LinkChanged:
    return LinkChanged(
        link=link,
        long_url=data.long_url,
        redirect_code=data.redirect_code,
        expires_at_ms=data.expires_at_ms,
        expired_url=data.expired_url,
        max_clicks=data.max_clicks,
        password_hash=data.password_hash,
        audit=data.audit,
        tags=data.tags,
        submission=submission,
    )
