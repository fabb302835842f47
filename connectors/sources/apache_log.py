"""Access logs in Apache's common and combined formats, which nginx writes too.

Lines are read one by one, however long the file. A line that cannot be read is reported in its
place, and the next one is read.
"""

import gzip
import re
import zlib
from collections.abc import Iterator
from datetime import datetime
from io import BufferedIOBase, BufferedReader
from urllib.parse import quote

import msgspec

from connectors.errors import DamagedLog

MAX_LINE_BYTES = 64 * 1024

# host identity user [time] "request" status bytes "referrer" "user agent", the last two only in the
# combined format; what a server appends to that is skipped. Within quotes a backslash escapes quotes
# and backslashes, and \xhh stands for any other byte (Apache's mod_log_config).
_QUOTED = r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_LINE = re.compile(
    rf"(\S+) \S+ .*?\[([^\]]{{1,40}})\] {_QUOTED} (\d{{3}}) \S+(?: {_QUOTED} {_QUOTED}|(?! \"))(?!\S)",
    re.ASCII,
)
_REQUEST = re.compile(r"([A-Z-]+) (/\S*+(?: (?!HTTP/)\S*+)*+)(?: HTTP/\d(?:\.\d)?)?", re.ASCII)
_MONTHS = {
    name: f"{number:02}"
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1
    )
}

_GZIP = b"\x1f\x8b"
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_CONTROLS = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_URL_SAFE = re.compile(r"[!#-;=?-\[\]_a-z~]*")
_UNQUOTED = "!#$%&'()*+,/:;=?@[]~"


class Request(msgspec.Struct, frozen=True, gc=False):
    """A request that a server has answered.

    Attributes:
        line: its number in the file, from 1.
        time: with the log's time zone.
        path: with its query; percent-encoded where the client should have done so.
        referrer, user_agent: None if they were not sent, or are not logged.
    """

    line: int
    time: datetime
    address: str
    method: str
    path: str
    status: int
    referrer: str | None
    user_agent: str | None


class Malformed(msgspec.Struct, frozen=True, gc=False):
    """A line that is no request, and why."""

    line: int
    reason: str


def decompressed(stream: BufferedReader) -> BufferedIOBase:
    """The stream itself, or what is in it if it is gzip data."""
    return gzip.GzipFile(fileobj=stream) if stream.peek(2)[:2] == _GZIP else stream


def read_log(stream: BufferedIOBase) -> Iterator[Request | Malformed]:
    """Every line of a log, in order.

    Raises:
        DamagedLog: the gzip data are damaged or end too early; all lines before have been yielded.
    """
    for number, line in enumerate(_lines(stream), 1):
        if line is None:
            yield Malformed(number, f"longer than {MAX_LINE_BYTES} bytes")
        else:
            yield parse(number, line)


def parse(number: int, line: bytes) -> Request | Malformed:
    """One line of a log."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return Malformed(number, "not UTF-8")
    fields = _LINE.match(text)
    if fields is None:
        return Malformed(number, "neither common nor combined log format")
    address, when, request, status, referrer, user_agent = fields.groups()
    time = _time(when)
    if time is None:
        return Malformed(number, "no such date or time")
    asked = _REQUEST.fullmatch(request)
    if asked is None:
        return Malformed(number, "no request for a path")
    return Request(
        number,
        time,
        address,
        asked[1],
        _path(asked[2]),
        int(status),
        _text(referrer),
        _text(user_agent),
    )


def _lines(stream: BufferedIOBase) -> Iterator[bytes | None]:
    """The lines of a stream; None for those that are too long."""
    try:
        while line := stream.readline(MAX_LINE_BYTES + 1):
            too_long = len(line) > MAX_LINE_BYTES
            while too_long and line and not line.endswith(b"\n"):
                line = stream.readline(MAX_LINE_BYTES)
            yield None if too_long else line
    except (EOFError, gzip.BadGzipFile, zlib.error) as damaged:
        raise DamagedLog(f"the gzip data are damaged: {damaged}; get the file again") from damaged


def _time(text: str) -> datetime | None:
    """The time in `17/May/2015:10:05:03 +0000`; the parser for ISO 8601 is several times as fast."""
    month = _MONTHS.get(text[3:6])
    if month is None or len(text) != 26:
        return None
    try:
        return datetime.fromisoformat(f"{text[7:11]}-{month}-{text[:2]}T{text[12:20]}{text[21:]}")
    except ValueError:
        return None


def _path(text: str) -> str:
    return text if _URL_SAFE.fullmatch(text) else quote(_unescaped(text), _UNQUOTED)


def _text(text: str | None) -> str | None:
    """A quoted field's value; None for a dash."""
    if text is None or text == "-":
        return None
    return _unescaped(text).decode(errors="replace") if "\\" in text else text


def _unescaped(text: str) -> bytes:
    return _ESCAPE.sub(_unescape, text.encode())


def _unescape(escape: re.Match[bytes]) -> bytes:
    what = escape[1]
    return bytes.fromhex(what[1:].decode()) if len(what) == 3 else _CONTROLS.get(what, what)
