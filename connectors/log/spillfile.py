"""The file in which appends wait while the log is down.

    8 bytes       "6SPILL01"
    u64           where the first frame is that has not been drained
    frames        u32 length, u32 CRC-32, msgpack of a `Frame`

Numbers are little-endian. A frame counts once it is on the disk whole: what a crash has left of one
is cut off when the file is opened, as nobody was told that it had been written.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import msgspec
import structlog

from connectors.errors import SpillInUse
from connectors.lock import lock_file
from streams.log import Entry

log = structlog.get_logger()

_MAGIC = b"6SPILL01"
_POSITION = struct.Struct("<Q")
_FRAME = struct.Struct("<II")
_START = len(_MAGIC) + _POSITION.size


class Frame(msgspec.Struct, array_like=True, gc=False):
    """Appends that were spilled together.

    Attributes:
        series: who numbered them; a process numbers what it spills from 0.
        first: the number of the first entry.
    """

    series: str
    first: int
    entries: Sequence[Entry]


class Stretch(NamedTuple):
    """Some frames, and where the next one is."""

    frames: list[Frame]
    end: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Frame).decode


def is_empty(path: Path) -> bool:
    """Whether nothing waits in a file, as far as its size tells."""
    return path.stat().st_size <= _START


class SpillFile:
    """A queue of frames on the disk; for one thread of one process."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Open a file, making it if need be, and find what waits in it.

        Raises:
            SpillInUse: another process has it.
            OSError: it cannot be opened or written.
        """
        self.path = path
        self._max_bytes = max_bytes
        self._drained = self._end = _START
        self.pending = 0
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not lock_file(self._file):
                raise SpillInUse(
                    f"{path} is another process's: give every gateway a spill file of its own"
                )
            self._recover()
        except BaseException:
            os.close(self._file)
            raise

    def close(self) -> None:
        """Close the file; what waits stays in it."""
        os.close(self._file)

    def put(self, frame: Frame) -> None:
        """Add a frame, durably.

        Raises:
            OSError: it could not be written, or the file would get too large; nothing was added.
        """
        payload = _encode(frame)
        end = self._end + _FRAME.size + len(payload)
        if end > self._max_bytes:
            raise OSError(f"{self.path} would get larger than {self._max_bytes >> 20} MB")
        try:
            _write(self._file, _FRAME.pack(len(payload), crc32(payload)) + payload, self._end)
            os.fdatasync(self._file)
        except OSError:
            with suppress(OSError):  # what is left lies behind the end, and is overwritten
                os.ftruncate(self._file, self._end)
            raise
        self._end = end
        self.pending += len(frame.entries)

    def oldest(self, max_records: int) -> Stretch:
        """The frames that have waited longest: up to about so many records, at least one frame."""
        frames: list[Frame] = []
        end = self._drained
        records = 0
        for frame, next_ in self._frames(self._drained):
            frames.append(frame)
            end = next_
            records += len(frame.entries)
            if records >= max_records:
                break
        return Stretch(frames, end)

    def drop(self, stretch: Stretch) -> None:
        """The oldest frames are in the log: forget them.

        Not synced: after a power failure they may be there again, and be recognised.

        Raises:
            OSError: it could not be written down; they will be there when the file is opened anew.
        """
        self._drained = stretch.end
        self.pending -= sum(len(frame.entries) for frame in stretch.frames)
        if self._drained == self._end:
            self._drained = self._end = _START
            os.ftruncate(self._file, _START)
        os.pwrite(self._file, _POSITION.pack(self._drained), len(_MAGIC))

    def _recover(self) -> None:
        size = os.fstat(self._file).st_size
        if os.pread(self._file, len(_MAGIC), 0) != _MAGIC:
            if size >= _START:
                raise OSError(f"{self.path} is no spill file")
            os.ftruncate(self._file, 0)
            _write(self._file, _MAGIC + _POSITION.pack(_START), 0)
            os.fsync(self._file)
            _sync_directory(self.path.parent)
            size = _START
        (drained,) = _POSITION.unpack(os.pread(self._file, _POSITION.size, len(_MAGIC)))
        self._end = size
        waiting = {_START: 0}
        for frame, end in self._frames(_START):
            waiting[end] = len(frame.entries)
        self._end = max(waiting)
        self._drained = drained if drained in waiting else _START
        self.pending = sum(n for end, n in waiting.items() if end > self._drained)
        if self._end < size:
            log.warning("spill: cut off a torn end", file=str(self.path), bytes=size - self._end)
            os.ftruncate(self._file, self._end)

    def _frames(self, position: int) -> Iterator[tuple[Frame, int]]:
        """The whole frames from a position on, each with the position of the next one."""
        while position + _FRAME.size <= self._end:
            length, crc = _FRAME.unpack(os.pread(self._file, _FRAME.size, position))
            next_ = position + _FRAME.size + length
            if next_ > self._end:
                return
            payload = os.pread(self._file, length, position + _FRAME.size)
            if crc32(payload) != crc:
                return
            yield _decode(payload), next_
            position = next_


def _write(file: int, data: bytes, position: int) -> None:
    while data:
        written = os.pwrite(file, data, position)
        data = data[written:]
        position += written


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
