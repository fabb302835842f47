"""The client's spill: events that wait on disk while the gateway is away.

    magic | head: u64 | (length: u32 | CRC-32: u32 | event) …

`head` is where the first event that is not delivered begins. A process that dies leaves its spill
to the next one; an event that was half written then is cut off. The file is locked as long as it is
open (flock(2)); it comes and goes under its name, so whoever has locked it looks whether it is still
the one of that name.
"""

import fcntl
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

from sixfold.client.errors import DamagedSpill, SpillInUse

_MAGIC = b"sixfold1"
_HEAD = struct.Struct("<Q")
_FRAME = struct.Struct("<II")
_START = len(_MAGIC) + _HEAD.size
_COPY_BYTES = 1 << 20


class Spill:
    """A queue in a file, for one client at a time.

    Attributes:
        first: the number of its first event; events are numbered as they are added.
        next: that of the next event to be added at its end.
    """

    def __init__(self, path: Path) -> None:
        """Open or make the file.

        Raises:
            DamagedSpill: there is a file, but it is no spill.
            SpillInUse: another client has it.
        """
        self._path = path
        self._file = _locked(path)
        found = os.pread(self._file, _START, 0)
        if not found:
            os.pwrite(self._file, _MAGIC + _HEAD.pack(_START), 0)
            self._head = _START
        elif len(found) < _START or not found.startswith(_MAGIC):
            os.close(self._file)
            raise DamagedSpill(f"{path} is no spill of events: move it away")
        else:
            (self._head,) = _HEAD.unpack(found[len(_MAGIC) :])
        self.first = 0
        self.next, self._end = self._recovered()
        os.ftruncate(self._file, self._end)

    def __len__(self) -> int:
        return self.next - self.first

    def push(self, events: Sequence[bytes]) -> None:
        """Add events at the end; they are on disk when this returns.

        Raises:
            OSError: the disk is full or gone; nothing was added.
        """
        frames = _frames(events)
        try:
            _write(self._file, frames, self._end)
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, self._end)
            raise
        self._end += len(frames)
        self.next += len(events)

    def push_front(self, events: Sequence[bytes]) -> None:
        """Add events before all others; they are on disk when this returns.

        Raises:
            OSError: the disk is full or gone; nothing was added.
        """
        if not self:
            self.push(events)
            return
        frames = _frames(events)
        aside = self._path.with_name(self._path.name + ".new")
        file = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)  # before it has a name that others look for
            end = _write(file, _MAGIC + _HEAD.pack(_START) + frames, 0)
            for at in range(self._head, self._end, _COPY_BYTES):
                rest = os.pread(self._file, min(_COPY_BYTES, self._end - at), at)
                end = _write(file, rest, end)
            os.fsync(file)
            aside.replace(self._path)
        except OSError:
            os.close(file)
            aside.unlink(missing_ok=True)
            raise
        os.close(self._file)
        self._file, self._head, self._end = file, _START, end
        self.first -= len(events)

    def peek(self, max_events: int, max_bytes: int) -> list[bytes]:
        """The first events, at least one if there is any."""
        events: list[bytes] = []
        at, size = self._head, 0
        while at < self._end and len(events) < max_events:
            length, _ = _FRAME.unpack(os.pread(self._file, _FRAME.size, at))
            size += length
            if events and size > max_bytes:
                break
            events.append(os.pread(self._file, length, at + _FRAME.size))
            at += _FRAME.size + length
        return events

    def pop(self, events: Sequence[bytes]) -> None:
        """Drop what `peek` returned: it is delivered."""
        self._head += sum(_FRAME.size + len(event) for event in events)
        self.first += len(events)
        if self._head == self._end:
            self._head = self._end = _START
        os.pwrite(self._file, _HEAD.pack(self._head), len(_MAGIC))
        if self._end == _START:
            os.ftruncate(self._file, _START)

    def close(self) -> None:
        """Close the file; an empty one is removed."""
        if not self:
            self._path.unlink(missing_ok=True)
        os.close(self._file)

    def _recovered(self) -> tuple[int, int]:
        """How many whole events there are, and where the last one ends."""
        size = os.fstat(self._file).st_size
        at, events = self._head, 0
        while at + _FRAME.size <= size:
            length, crc = _FRAME.unpack(os.pread(self._file, _FRAME.size, at))
            event = os.pread(self._file, length, at + _FRAME.size)
            # A crash may leave zeros, which are the frame of an event of no bytes: there is none.
            if not length or len(event) < length or zlib.crc32(event) != crc:
                break
            at += _FRAME.size + length
            events += 1
        return events, at


def _locked(path: Path) -> int:
    """Open and lock the file of this name, making it if need be.

    Raises:
        SpillInUse: another client has it.
    """
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise SpillInUse(
                f"another client has the spill {path}: give each client a file of its own"
            ) from None
        if _is_at(path, file):
            return file
        os.close(file)  # whoever had it has removed or replaced it


def _is_at(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file))
    except FileNotFoundError:
        return False


def _frames(events: Sequence[bytes]) -> bytes:
    return b"".join(_FRAME.pack(len(e), zlib.crc32(e)) + e for e in events)


def _write(file: int, data: bytes, at: int) -> int:
    """Write all of it, which one call need not do when the disk is nearly full; where it ends."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(file, rest, at)
        rest, at = rest[written:], at + written
    return at
