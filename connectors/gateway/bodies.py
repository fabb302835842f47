"""Request bodies: decoded strictly, in one pass, into the type that the route asks for."""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from litestar import Request

from connectors.gateway.deprecation import Deprecation, deprecate
from connectors.gateway.problems import Problem, invalid
from schemas.frozen import Frozen


class Body(Frozen, forbid_unknown_fields=True):
    """Base class of what clients send; fields that it does not have are refused."""

    DEPRECATED: ClassVar[Mapping[str, Deprecation]] = {}


class StrictRequest(Request[Any, Any, Any]):
    """A request whose JSON is decoded as the type of the route's `data`.

    Litestar would decode it as anything and then convert, which takes "1" for 1.
    """

    async def json(self) -> Any:
        """The decoded body.

        Raises:
            Problem: 400, naming the field.
        """
        field = self.route_handler.parsed_data_field
        try:
            data = msgspec.json.decode(await self.body(), type=field.annotation if field else Any)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            wrong = invalid(error)
            raise Problem(400, f"{wrong.field}: {wrong.message}", errors=[wrong]) from error
        if isinstance(data, Body):
            for name, deprecation in data.DEPRECATED.items():
                if getattr(data, name) is not None:
                    deprecate(self.scope, deprecation)
        return data
