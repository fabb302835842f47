"""Structs that cannot be changed, so that everybody may hold on to them."""

from typing import dataclass_transform

import msgspec


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class _FrozenMeta(msgspec.StructMeta):
    """Tells type checkers that subclasses are frozen as well without saying so again."""


class Frozen(msgspec.Struct, metaclass=_FrozenMeta, frozen=True, gc=False):
    """Base class of frozen structs.

    Outside the garbage collector: what is decoded, or built once from parts, has no cycles.
    """
