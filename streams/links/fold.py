"""link.* events → links. State: every key that was ever claimed, with its link.

The first claim of a key in the log wins; whoever asks finds its own event's id in the row, or
another's.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from schemas.envelope import Event
from schemas.fields import Subject
from schemas.links import (
    LinkChanged,
    LinkDeleted,
    LinkRefused,
    LinkReleased,
    LinkRequested,
    LinkUsedUp,
)
from streams.batch import Batch
from streams.effects import Effects
from streams.links.rules import LinkTerms, is_reserved
from streams.links.views import ALL, Alias, Link, LinkCount, LinkListing, LinkMonth, TaggedLink
from streams.state import GlobalTable, Table, Tables

OPENS = True  # the addresses of sealed links


class State(Tables):
    """Links by key, and how many there are."""

    links: GlobalTable[str, Link]
    counts: Table[str, int]  # always ALL


def fold(
    batch: Batch[LinkRequested | LinkChanged | LinkUsedUp | LinkDeleted],
    state: State,
    out: Effects,
) -> None:
    """Decide claims, and keep links up to date."""
    for event in batch:
        data = event.data
        link = state.links.get(data.link)
        if isinstance(data, LinkRequested):
            if link is None and not is_reserved(data.link):
                _create(_requested(data, event), state, out)
            elif data.reference is not None:
                out.emit(LinkRefused(data.reference, data.link))
        elif link is None or link.tenant != event.tenant or link.deleted:
            continue
        elif isinstance(data, LinkDeleted):
            _delete(link, state, out)
        elif isinstance(data, LinkChanged):
            _change(link, data, event.id, state, out)
        elif link.terms.max_clicks == data.max_clicks:  # it may have been raised meanwhile
            _keep(msgspec.structs.replace(link, used_up=True), state, out)


def erase(subject: Subject, state: State, out: Effects) -> None:
    """Forget who made a link; the link stays the tenant's, unless it leads to what was theirs."""
    for _, link in state.links.pop_subject(subject):
        forgotten = msgspec.structs.replace(
            link, created_by=None, target=None, expired_target=None, sealed=None
        )
        if link.is_sealed and not link.deleted:
            _delete(forgotten, state, out)
        else:
            _keep(forgotten, state, out)


def month_of(created_ms: int) -> str:
    """The month that a link is listed in."""
    return datetime.fromtimestamp(created_ms / 1000, UTC).strftime("%Y-%m")


def _requested(data: LinkRequested, event: Event[Any]) -> Link:
    return Link(
        link=data.link,
        tenant=event.tenant,
        claim=event.id,
        revision=event.id,
        long_url=data.long_url,
        terms=_terms(data, is_disabled=False),
        created_ms=int(event.time.timestamp() * 1000),
        is_alias=data.is_alias,
        audit=data.audit,
        tags=tuple(data.tags),
        external_id=data.external_id,
        created_by=data.created_by,
        reference=data.reference,
        target=data.target,
        expired_target=data.expired_target,
    )


def _create(link: Link, state: State, out: Effects) -> None:
    _keep(link, state, out)
    _count(+1, state, out)
    month = month_of(link.created_ms)
    out.put(LinkListing(month, link.created_ms, link.link))
    out.put(LinkMonth(ALL, month))
    _tag(link, link.tags, out)
    if link.is_alias:
        out.put(Alias(ALL, link.link))


def _change(link: Link, data: LinkChanged, revision: str, state: State, out: Effects) -> None:
    if data.revision not in (None, link.revision):
        return
    is_disabled = link.terms.disabled if data.disabled is None else data.disabled
    changed = msgspec.structs.replace(
        link,
        revision=revision,
        long_url=data.long_url,
        terms=_terms(data, is_disabled),
        audit=data.audit,
        used_up=link.used_up and data.max_clicks == link.terms.max_clicks,
        tags=tuple(data.tags),
        created_by=link.created_by if data.long_url else data.created_by,
        target=data.target,
        expired_target=data.expired_target,
    )
    _keep(changed, state, out)
    _untag(link, set(link.tags) - set(changed.tags), out)
    _tag(link, set(changed.tags) - set(link.tags), out)


def _delete(link: Link, state: State, out: Effects) -> None:
    _keep(msgspec.structs.replace(link, deleted=True), state, out)
    _count(-1, state, out)
    out.delete(LinkListing, month_of(link.created_ms), link.created_ms, link.link)
    _untag(link, link.tags, out)
    if link.external_id is not None and link.reference is not None:
        out.emit(LinkReleased(link.reference, link.link))


def _keep(link: Link, state: State, out: Effects) -> None:
    state.links[link.link] = link
    out.put(link)


def _count(n: int, state: State, out: Effects) -> None:
    state.counts[ALL] = links = state.counts.get(ALL, 0) + n
    out.put(LinkCount(out.partition, links))


def _tag(link: Link, tags: Iterable[str], out: Effects) -> None:
    for tag in tags:
        out.put(TaggedLink(tag, month_of(link.created_ms), link.created_ms, link.link))


def _untag(link: Link, tags: Iterable[str], out: Effects) -> None:
    for tag in tags:
        out.delete(TaggedLink, tag, month_of(link.created_ms), link.created_ms, link.link)


def _terms(data: LinkRequested | LinkChanged, is_disabled: bool) -> LinkTerms:
    return LinkTerms(
        redirect_code=data.redirect_code,
        expires_at_ms=data.expires_at_ms,
        expired_url=data.expired_url,
        max_clicks=data.max_clicks,
        password_hash=data.password_hash,
        disabled=is_disabled,
    )
