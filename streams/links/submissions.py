"""link.submitted → claims. State: which link a reference stands for.

A reference is decided in its own partition, and a key in the key's: the one emits a claim to the
other, and hears from it if the key was another's, or the link was deleted.
"""

from datetime import timedelta

import msgspec

from schemas.fields import Subject
from schemas.links import LinkChanged, LinkRefused, LinkReleased, LinkRequested, LinkSubmitted
from streams.batch import Batch
from streams.effects import Effects
from streams.links.views import Submission
from streams.state import Table, Tables

# How long an idempotency key is good for.
_KEPT_MS = timedelta(days=7) // timedelta(milliseconds=1)


OPENS = True  # the addresses of sealed links, to hand them on


class Submitted(msgspec.Struct, frozen=True, gc=False):
    """What a reference stands for."""

    link: str
    time_ms: int


class State(Tables):
    """Links by reference; and the references that will be over and since when, as they came."""

    submitted: Table[str, Submitted]
    passing: Table[int, tuple[str, int]]
    numbers: Table[str, int]  # of `passing`: the first, and the next


def fold(
    batch: Batch[LinkSubmitted | LinkRefused | LinkReleased], state: State, out: Effects
) -> None:
    """Turn the first submission of a reference into a claim, and later ones into changes."""
    for event in batch:
        data = event.data
        before = state.submitted.get(data.reference)
        if not isinstance(data, LinkSubmitted):
            if before is not None and before.link == data.link:
                _forget(data.reference, state, out)
            continue
        time_ms = int(event.time.timestamp() * 1000)
        if before is None or _is_over(before, data, time_ms):
            state.submitted[data.reference] = Submitted(data.link, time_ms)
            out.emit(_claim(data))
            out.put(Submission(data.reference, data.link, event.id, data.fingerprint))
            if not data.replaces:
                _pass(data.reference, time_ms, state, out)
        elif data.replaces:
            out.emit(_change(data, before.link))


def erase(subject: Subject, state: State, out: Effects) -> None:
    """Nothing: what is kept of a submission names nobody."""


def external_reference(external_id: str) -> str:
    """What a link with an external id is submitted under."""
    return f"external/{external_id}"


def request_reference(idempotency_key: str, index: int) -> str:
    """What a link that a repeatable request asks for is submitted under.

    Args:
        index: which of the request's links it is.
    """
    return f"request/{index}/{idempotency_key}"


def _is_over(before: Submitted, data: LinkSubmitted, time_ms: int) -> bool:
    return not data.replaces and time_ms - before.time_ms > _KEPT_MS


def _pass(reference: str, time_ms: int, state: State, out: Effects) -> None:
    """Take a reference that will be over, and forget up to two that are."""
    number = state.numbers.get("next", 0)
    state.passing[number] = reference, time_ms
    state.numbers["next"] = number + 1
    for _ in range(2):
        first = state.numbers.get("first", 0)
        oldest, since_ms = state.passing[first]
        if time_ms - since_ms <= _KEPT_MS:
            return
        submitted = state.submitted.get(oldest)
        if submitted is not None and submitted.time_ms == since_ms:  # and not used again since
            _forget(oldest, state, out)
        del state.passing[first]
        state.numbers["first"] = first + 1


def _forget(reference: str, state: State, out: Effects) -> None:
    del state.submitted[reference]
    out.delete(Submission, reference)


def _claim(data: LinkSubmitted) -> LinkRequested:
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
        target=data.target,
        expired_target=data.expired_target,
    )


def _change(data: LinkSubmitted, link: str) -> LinkChanged:
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
        created_by=None if data.long_url else data.created_by,
        target=data.target,
        expired_target=data.expired_target,
    )
