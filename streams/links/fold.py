"""link.* events → links. State: every key that was ever claimed, with its link.

The first claim of a key in the log wins; whoever asks finds its own event's id in the row, or
another's.
"""

from datetime import UTC, datetime

import msgspec

from schemas.fields import Subject
from schemas.links import LinkChanged, LinkDeleted, LinkRefused, LinkRequested, LinkUsedUp
from streams.batch import Batch
from streams.effects import Effects
from streams.links.rules import LinkTerms, is_reserved
from streams.links.views import ALL, Alias, Link, LinkListing, LinkMonth
from streams.state import GlobalTable, Tables


class State(Tables):
    """Links by key."""

    links: GlobalTable[str, Link]


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
                created_ms = int(event.time.timestamp() * 1000)
                _create(_requested(data, event.tenant, event.id, created_ms), state, out)
            elif data.reference is not None:
                out.emit(LinkRefused(data.reference, data.link))
        elif link is not None and _may_change(link, event.tenant):
            _keep(_after(link, data), state, out)


def erase(subject: Subject, state: State, out: Effects) -> None:
    """Forget who made a link; the link stays the tenant's."""
    for _, link in state.links.pop_subject(subject):
        _keep(msgspec.structs.replace(link, created_by=None), state, out)


def _may_change(link: Link, tenant: str) -> bool:
    return link.tenant == tenant and not link.deleted


def _requested(data: LinkRequested, tenant: str, claim: str, created_ms: int) -> Link:
    return Link(
        link=data.link,
        tenant=tenant,
        claim=claim,
        long_url=data.long_url,
        terms=_terms(data),
        created_ms=created_ms,
        is_alias=data.is_alias,
        audit=data.audit,
        tags=tuple(data.tags),
        external_id=data.external_id,
        created_by=data.created_by,
        submission=data.submission,
    )


def _create(link: Link, state: State, out: Effects) -> None:
    _keep(link, state, out)
    month = _month(link)
    out.put(LinkListing(month, link.created_ms, link.link))
    out.put(LinkMonth(ALL, month))
    if link.is_alias:
        out.put(Alias(ALL, link.link))


def _keep(link: Link, state: State, out: Effects) -> None:
    state.links[link.link] = link
    out.put(link)
    if link.deleted:
        out.delete(LinkListing, _month(link), link.created_ms, link.link)


def _after(link: Link, data: LinkChanged | LinkUsedUp | LinkDeleted) -> Link:
    """What becomes of a link."""
    replace = msgspec.structs.replace
    match data:
        case LinkDeleted():
            return replace(link, deleted=True)
        case LinkUsedUp():
            # The cap may have been raised meanwhile.
            return replace(link, used_up=link.terms.max_clicks == data.max_clicks)
        case LinkChanged():
            return replace(
                link,
                long_url=data.long_url,
                terms=_terms(data),
                audit=data.audit,
                used_up=link.used_up and data.max_clicks == link.terms.max_clicks,
                tags=tuple(data.tags),
                submission=data.submission or link.submission,
            )


def _terms(data: LinkRequested | LinkChanged) -> LinkTerms:
    return LinkTerms(
        redirect_code=data.redirect_code,
        expires_at_ms=data.expires_at_ms,
        expired_url=data.expired_url,
        max_clicks=data.max_clicks,
        password_hash=data.password_hash,
        disabled=isinstance(data, LinkChanged) and data.disabled,
    )


def _month(link: Link) -> str:
    return datetime.fromtimestamp(link.created_ms / 1000, UTC).strftime("%Y-%m")
