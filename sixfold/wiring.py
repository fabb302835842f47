"""The systems that the platform runs. Adding one is adding a line to SYSTEMS."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import schemas.access
import schemas.batch
import schemas.control
import schemas.dead
import schemas.imports
import schemas.links
import schemas.privacy
import streams.access.fold
import streams.links.fold
import streams.links.stats
import streams.links.submissions
from schemas.catalog import Catalog
from streams.fold import Fold


@dataclass(frozen=True, slots=True)
class System:
    """One system: the modules that declare its events, and its folds."""

    events: ModuleType
    folds: Sequence[ModuleType] = ()


SYSTEMS = (
    System(schemas.privacy),
    System(schemas.dead),
    System(schemas.control),
    System(schemas.imports),
    System(schemas.batch),
    System(schemas.access, [streams.access.fold]),
    System(schemas.links, [streams.links.fold, streams.links.submissions, streams.links.stats]),
)

CATALOG = Catalog.of(*(system.events for system in SYSTEMS))
FOLDS = tuple(Fold.of(module) for system in SYSTEMS for module in system.folds)
