"""Room: whether the disk has enough left for more records."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

_CHECK_S = 1.0

# What retention has freed within the database's file is used again, but on its way there a record
# goes through the write-ahead log, which must be able to grow.
_WAL_BYTES = 64 << 20


class Room:
    """Says when appends must stop; looks at most once a second."""

    def __init__(
        self, directory: Path, watermark_bytes: int, reusable_bytes: Callable[[], int]
    ) -> None:
        """Watch a disk.

        Args:
            watermark_bytes: so much must be free, on the disk or within the database's file.
            reusable_bytes: how much is free within the file.
        """
        self._directory = directory
        self._watermark_bytes = watermark_bytes
        self._reusable_bytes = reusable_bytes
        self._checked_s = -_CHECK_S
        self._refusal: str | None = None
        self._free_bytes = 0

    def refusal(self) -> str | None:
        """Why nothing may be appended now; None if it may."""
        now_s = time.monotonic()
        if now_s - self._checked_s >= _CHECK_S:
            self._checked_s = now_s
            self._refusal = self._look()
        return self._refusal

    @property
    def free_bytes(self) -> int:
        """How much is free on the disk."""
        self.refusal()
        return self._free_bytes

    def _look(self) -> str | None:
        try:
            self._free_bytes = free_bytes = shutil.disk_usage(self._directory).free
        except OSError as error:
            self._free_bytes = 0
            return f"the disk at {self._directory} cannot be looked at: {error}"
        if free_bytes >= self._watermark_bytes:
            return None
        reusable_bytes = self._reusable_bytes()
        if (
            free_bytes >= min(_WAL_BYTES, self._watermark_bytes)
            and free_bytes + reusable_bytes >= self._watermark_bytes
        ):
            return None
        return (
            f"{free_bytes >> 20} MB are free at {self._directory}, and {reusable_bytes >> 20} MB "
            f"within the log's file; appends stop below {self._watermark_bytes >> 20} MB: "
            "free some space"
        )
