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
    """

    region: int = 0
    base: int = 0
    cached: int = 100_000
    warmed: int = 1_000
    max_waiting_clicks: int = 100_000
    audited_tenants: frozenset[str] = frozenset()
