"""What the client says to the gateway, and what it makes of the answers."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

import httpx
import msgspec

_FIRST_RETRY_S = 0.1
_LAST_RETRY_S = 10.0


class _Appended(msgspec.Struct):
    index: int
    position: str


class _Refused(msgspec.Struct):
    field: str
    message: str
    index: int | None = None


class _Answer(msgspec.Struct):
    events: list[_Appended] = []
    errors: list[_Refused] = []
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of a batch.

    Attributes:
        positions: by the index of the event.
        refusals: reasons, by the index of the event.
    """

    positions: dict[int, str]
    refusals: dict[int, list[str]]


class Unreachable(Exception):
    """The gateway cannot take events now.

    Attributes:
        retry_after_s: how long it asks to be left alone, if it says.
    """

    def __init__(self, why: str, retry_after_s: float | None = None) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


class Gateway:
    """The route that takes events."""

    def __init__(self, url: str, api_key: str, timeout_s: float) -> None:
        if not url.startswith(("http://", "https://")):  # it would be tried for ever
            raise ValueError(f"url: {url!r} must begin with http:// or https://")
        self._http = httpx.AsyncClient(
            base_url=url, headers={"Authorization": f"Bearer {api_key}"}, timeout=timeout_s
        )

    async def post(self, events: Sequence[bytes]) -> Delivered:
        """Post a batch; events that are refused take no others with them.

        Raises:
            Unreachable: nothing is known to have been taken; the same batch may be posted again.
        """
        body = b"[" + b",".join(events) + b"]"
        try:
            answer = await self._http.post(
                "/api/v1/events",
                params={"partial": "true"},
                content=body,
                headers={"Content-Type": "application/cloudevents-batch+json"},
            )
        except httpx.HTTPError as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from error
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.is_server_error:
            raise Unreachable(f"the gateway answers {answer.status_code}", _retry_after(answer))
        return _delivered(answer, len(events))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


class Backoff:
    """Pauses between tries: exponential, with full jitter."""

    def __init__(self) -> None:
        self._longest_s = _FIRST_RETRY_S

    def reset(self) -> None:
        """A try has succeeded."""
        self._longest_s = _FIRST_RETRY_S

    async def pause(self, retry_after_s: float | None) -> None:
        """Wait, at least as long as the gateway asks for."""
        await asyncio.sleep((retry_after_s or 0.0) + random.uniform(0, self._longest_s))  # noqa: S311
        self._longest_s = min(self._longest_s * 2, _LAST_RETRY_S)


def _delivered(answer: httpx.Response, count: int) -> Delivered:
    try:
        decoded = msgspec.json.decode(answer.content, type=_Answer)
    except msgspec.DecodeError:
        decoded = _Answer(detail=f"the gateway answers {answer.status_code}")
    refusals: dict[int, list[str]] = {}
    for error in decoded.errors:
        if error.index is not None:
            refusals.setdefault(error.index, []).append(f"{error.field}: {error.message}")
    if answer.is_error and not refusals:  # the whole request: a key without the scope, for one
        refusals = {index: [decoded.detail] for index in range(count)}
    positions = {event.index: event.position for event in decoded.events}
    if not positions.keys() | refusals.keys() >= set(range(count)):
        raise Unreachable("the answer does not say what became of every event")
    return Delivered(positions, refusals)


def _retry_after(answer: httpx.Response) -> float | None:
    value = answer.headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else None
