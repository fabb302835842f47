"""What clients that post events are held to, beyond the types of fields.

    link: Annotated[str, posted(max_length=64)]

Records of the log are not held to it, and published schemas do not say it: what was written stays
readable whatever the limits become.
"""

from functools import cache, reduce
from operator import or_
from types import new_class
from typing import Annotated, Any, get_args, get_origin

import msgspec

from schemas.event import Data
from schemas.fields import alternatives, field_types

_MARK = "posted"


def posted(**limits: Any) -> msgspec.Meta:
    """Mark a field: what clients post there is held to limits, which are those of `msgspec.Meta`."""
    return msgspec.Meta(extra={_MARK: msgspec.Meta(**limits)})


@cache
def posted_struct(data: type[Data]) -> type[Data]:
    """The struct that posted data is decoded into: as the event type, but within its limits.

    It refuses fields that it does not have.
    """
    types = {name: _limited(annotation) for name, annotation in field_types(data).items()}
    body: dict[str, Any] = {"__annotations__": types}
    for field in msgspec.structs.fields(data):
        if field.default_factory is not msgspec.NODEFAULT:
            body[field.name] = msgspec.field(default_factory=field.default_factory)
        elif field.default is not msgspec.NODEFAULT:
            body[field.name] = field.default
    return new_class(
        data.__name__,
        (data,),
        {"forbid_unknown_fields": True},
        lambda namespace: namespace.update(body),
    )


def _limited(annotation: Any) -> Any:
    """An annotation with the limits of clients as msgspec's own."""
    if get_origin(annotation) is Annotated:
        type_, *marks = get_args(annotation)
        limits = [mark.extra[_MARK] for mark in marks if _MARK in (mark.extra or ())]
        return Annotated[(type_, *limits)] if limits else annotation
    parts = alternatives(annotation)
    return reduce(or_, map(_limited, parts)) if len(parts) > 1 else annotation
