"""A breaker: who has failed again and again is not asked for a while.

A log that is away may take its time to say so, up to a timeout for each append; what would spill
anyway need not wait for that.
"""

import time
from collections import deque
from collections.abc import Callable

_FAILURES = 3
_WITHIN_S = 10.0


class Breaker:
    """Opens after 3 failures within 10 s, without a success between; closes with the next success.

    So whoever keeps it open has to try now and then. Safe to use from any thread.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed_s: deque[float] = deque(maxlen=_FAILURES)
        self.is_open = False

    def fail(self) -> None:
        """Note a failure."""
        now_s = self._clock()
        self._failed_s.append(now_s)
        if len(self._failed_s) == _FAILURES and now_s - self._failed_s[0] <= _WITHIN_S:
            self.is_open = True

    def succeed(self) -> None:
        """Note a success."""
        if self._failed_s:
            self._failed_s.clear()
            self.is_open = False
