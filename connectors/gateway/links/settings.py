"""What an operator can set about short links in a gateway."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings:
    """Settings of short links.

    Attributes:
        region: whose counters new keys are made of; see `streams.links.blocks`. Never changed on
            data that has links: keys of other regions count as never granted.
        base: the number of the first block; raised after a restore or a migration.
        cached: how many links are kept in memory, some 800 bytes each.
        warmed: how many of the most clicked links are loaded before the gateway is ready.
        max_waiting_clicks: clicks that may wait for the log, some 500 bytes each; beyond, clicks
            are counted as lost.
        audited_tenants: all links of these tenants redirect as if made with `audit: required`.
        blocked_hosts: no link may lead there, nor to their subdomains.
        allow_private: whether links may lead into the intranet and to this machine.
        follow_redirects: whether targets are asked where they redirect to when links are made.
        max_links: of one tenant, deleted ones not counted; what is made at once may exceed it.
        creations_per_minute: links that one caller may make at each gateway.
        creations_per_minute_from_address: links that may be made from one address, however many
            callers it has.
        usual_creations_per_minute: a caller who makes more raises `link.creation_unusual`.
        usual_refusals_per_minute: so does one who is refused more targets.
    """

    region: int = 0
    base: int = 0
    cached: int = 100_000
    warmed: int = 1_000
    max_waiting_clicks: int = 100_000
    audited_tenants: frozenset[str] = frozenset()
    blocked_hosts: tuple[str, ...] = ()
    allow_private: bool = False
    follow_redirects: bool = True
    max_links: int = 10_000_000
    creations_per_minute: int = 6_000
    creations_per_minute_from_address: int = 12_000
    usual_creations_per_minute: int = 2_000
    usual_refusals_per_minute: int = 20
