"""Topics: what the log keeps apart, and for how long."""

import re
from dataclasses import dataclass

from schemas.errors import DeclarationError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")

DEFAULT_PARTITIONS = 4


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic of the log.

    Attributes:
        name: lower case, digits and underscores.
        partitions: fixed when the topic is created.
        retention_days: at least 1; what is older is dropped, from the log once archived, and from the
            lake; None keeps it.
        archived: whether the lake has a table of it; what is not archived is gone after retention.
        compacted: only the newest record of a key is kept; for events that carry full state.
        deduplicated: ids of clients' events are remembered for 7 days, and repeats dropped.
        spills: whether appends may wait in a local file while the log is down.
        global_keys: whether keys are unique across tenants (short keys are; most are not).
    """

    name: str
    partitions: int = DEFAULT_PARTITIONS
    retention_days: int | None = None
    archived: bool = True
    compacted: bool = False
    deduplicated: bool = False
    spills: bool = False
    global_keys: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise DeclarationError(
                f"topic {self.name!r}: lower case, digits and underscores, please"
            )
        if not 1 <= self.partitions <= 1024:
            raise DeclarationError(
                f"topic {self.name}: 1 to 1024 partitions, not {self.partitions}"
            )
        if self.retention_days is not None and self.retention_days < 1:
            raise DeclarationError(
                f"topic {self.name}: keep records for at least 1 day, or leave retention_days out"
            )

    def record_key(self, tenant: str, key: str) -> bytes:
        """The key a record is partitioned and compacted by; a tenant's name has no slash."""
        return key.encode() if self.global_keys else f"{tenant}/{key}".encode()
