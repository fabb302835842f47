"""Passwords of links: hashing, off the event loop, and how often one may be tried."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from connectors.gateway.problems import RETRY_AFTER_S, Problem
from streams.addresses import client_block

TRIES = 3
TRIES_WINDOW_S = 60.0

# A hash takes 64 MiB and 30 ms of a core, by argon2's own defaults (RFC 9106, section 4).
_THREADS = 2
_MAX_WAITING = 32

_MAX_TRIED = 100_000

T = TypeVar("T")


class Passwords:
    """Hashes passwords with Argon2id in a few threads."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="sixfold-passwords")
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """A password as links keep it.

        Raises:
            Problem: 503: too many are being hashed.
        """
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, password_hash: str, password: str) -> bool:
        """Whether a password is the one that was hashed.

        Raises:
            Problem: 503: too many are being hashed.
        """

        def verify() -> bool:
            try:
                return self._hasher.verify(password_hash, password)
            except (VerificationError, InvalidHashError):
                return False

        return await self._run(verify)

    def close(self) -> None:
        """Finish what is being hashed."""
        self._threads.shutdown()

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= _MAX_WAITING:
            raise Problem(
                503,
                "too many passwords are being checked: try again",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1


class Tries:
    """Counts the last tries of each client at each link, in memory: a sliding window."""

    def __init__(self) -> None:
        self._tries: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def take(self, link: str, address: str, now_s: float) -> float:
        """Take a try: 0, or after how many seconds there will be one.

        Args:
            now_s: of a monotonic clock.
        """
        who = link, client_block(address)
        times = self._tries.setdefault(who, deque(maxlen=TRIES))
        self._tries.move_to_end(who)
        if len(self._tries) > _MAX_TRIED:
            self._tries.popitem(last=False)
        if len(times) == TRIES and now_s - times[0] < TRIES_WINDOW_S:
            return times[0] + TRIES_WINDOW_S - now_s
        times.append(now_s)
        return 0.0

    def give_back(self, link: str, address: str) -> None:
        """Count the last try no more: an office behind one address may share a password."""
        times = self._tries.get((link, client_block(address)))
        if times:
            times.pop()
