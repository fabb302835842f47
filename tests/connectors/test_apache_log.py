import gzip
from datetime import UTC, datetime, timedelta, timezone
from io import BufferedReader, BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import DamagedLog
from connectors.sources.apache_log import (
    MAX_LINE_BYTES,
    Malformed,
    Request,
    decompressed,
    parse,
    read_log,
)

TIME = datetime(2024, 5, 17, 10, 5, 3, tzinfo=UTC)
COMBINED = (
    b'198.51.100.7 - - [17/May/2024:10:05:03 +0000] "GET /a?b=c HTTP/1.1" 200 512 '
    b'"https://example.com/x" "Mozilla/5.0 (X11; Linux)"\n'
)


def line(
    time: str = "17/May/2024:10:05:03 +0000",
    request: str = "GET / HTTP/1.1",
    user_agent: str = "curl/8",
    user: str = "-",
) -> bytes:
    return f'192.0.2.1 - {user} [{time}] "{request}" 200 5 "-" "{user_agent}"\n'.encode()


def request(raw: bytes) -> Request:
    parsed = parse(1, raw)
    assert isinstance(parsed, Request)
    return parsed


def reason(raw: bytes) -> str:
    parsed = parse(1, raw)
    assert isinstance(parsed, Malformed)
    return parsed.reason


def test_a_line_in_the_combined_format_is_a_request() -> None:
    assert request(COMBINED) == Request(
        *(1, TIME, "198.51.100.7", "GET", "/a?b=c", 200),
        *("https://example.com/x", "Mozilla/5.0 (X11; Linux)"),
    )


def test_a_line_in_the_common_format_has_neither_referrer_nor_user_agent() -> None:
    common = b'2001:db8::1 - - [17/May/2024:10:05:03 +0000] "HEAD / HTTP/1.0" 304 -'
    assert request(common) == Request(1, TIME, "2001:db8::1", "HEAD", "/", 304, None, None)


def test_what_a_server_appends_is_skipped() -> None:
    assert request(COMBINED[:-1] + b' 0.003 "-" upstream=1\r\n') == request(COMBINED)


def test_the_time_keeps_its_zone() -> None:
    newfoundland = timezone(-timedelta(hours=2, minutes=30))
    time = request(line(time="17/May/2024:10:05:03 -0230")).time
    assert time == datetime(2024, 5, 17, 10, 5, 3, tzinfo=newfoundland)
    assert time.utcoffset() == -timedelta(hours=2, minutes=30)


@pytest.mark.parametrize(
    ("logged", "user_agent"),
    [
        (r"say \"hi\" now", 'say "hi" now'),
        (r"back\\slash\\", "back\\slash\\"),
        (r"M\xc3\xbcnchen", "München"),
        (r"\xff\t", "�\t"),
        (r"\xzz\q", "xzzq"),
        ("-", None),
        ("", ""),
    ],
)
def test_escapes_are_undone(logged: str, user_agent: str | None) -> None:
    assert request(line(user_agent=logged)).user_agent == user_agent


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ("GET /a HTTP/2.0", "/a"),
        ("GET /a", "/a"),
        ("GET /a%20b?c=%C3%BC HTTP/1.1", "/a%20b?c=%C3%BC"),
        ("GET /two words HTTP/1.1", "/two%20words"),
        (r"GET /\"quoted\"\\ HTTP/1.1", "/%22quoted%22%5C"),
        (r"GET /m\xc3\xbcnchen\xff\n HTTP/1.1", "/m%C3%BCnchen%FF%0A"),
        ("GET /münchen HTTP/1.1", "/m%C3%BCnchen"),
        ("VERSION-CONTROL / HTTP/1.1", "/"),
    ],
)
def test_a_path_can_be_put_into_a_url(asked: str, path: str) -> None:
    assert request(line(request=asked)).path == path


def test_a_user_name_may_hold_blanks_and_brackets() -> None:
    assert request(line(user="Pat [admin] Doe")).time == TIME


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"\n", "neither common nor combined"),
        (b"nonsense\n", "neither common nor combined"),
        (COMBINED[:-3], "neither common nor combined"),
        (COMBINED[:90], "neither common nor combined"),
        (COMBINED.replace(b" 200 ", b" - "), "neither common nor combined"),
        (line(user_agent='broken"quote'), "neither common nor combined"),
        (line(user_agent="\\"), "neither common nor combined"),
        (COMBINED.replace(b"Linux", b"Linux\xe9"), "not UTF-8"),
        (COMBINED.decode().encode("utf-16"), "not UTF-8"),
        *((line(time=f"{day}/2024:10:05:03 +0000"), "no such date") for day in ("31/Feb", "1/May")),
        (line(time="17/Mai/2024:10:05:03 +0000"), "no such date"),
        (line(time="17/May/2024:25:05:03 +0000"), "no such date"),
        (line(time="17/May/2024:10:05:03 +9900"), "no such date"),
        (line(time="2024-05-17T10:05:03+00:00"), "no such date"),
        (line(request="-"), "no request for a path"),
        (line(request=""), "no request for a path"),
        (line(request=r"\x16\x03\x01"), "no request for a path"),
        (line(request="OPTIONS * HTTP/1.0"), "no request for a path"),
        (line(request="GET http://example.com/ HTTP/1.1"), "no request for a path"),
    ],
)
def test_a_line_that_is_no_request_says_why(raw: bytes, why: str) -> None:
    assert why in reason(raw)


def test_a_malformed_line_is_counted_and_the_next_one_read() -> None:
    too_long = line(user_agent="x" * MAX_LINE_BYTES * 3)
    stream = BytesIO(COMBINED + b"nonsense\n" + too_long + line(time="never") + COMBINED[:-1])
    first, *malformed, last = read_log(stream)
    assert [m.line for m in malformed] == [2, 3, 4]
    assert malformed[1] == Malformed(3, f"longer than {MAX_LINE_BYTES} bytes")
    assert isinstance(first, Request)
    assert isinstance(last, Request)
    assert (first.line, last.line) == (1, 5)


@pytest.mark.parametrize("length", [MAX_LINE_BYTES - 1, MAX_LINE_BYTES, MAX_LINE_BYTES + 1])
def test_the_longest_line_may_have_exactly_the_limit(length: int) -> None:
    padded = line(user_agent="x" * (length - len(line(user_agent=""))))
    assert len(padded) == length
    first, second = read_log(BytesIO(padded + COMBINED))
    assert isinstance(first, Request) == (length <= MAX_LINE_BYTES)
    assert isinstance(second, Request)


def test_an_empty_file_has_no_lines() -> None:
    assert list(read_log(decompressed(BufferedReader(BytesIO(b""))))) == []


def test_gzip_is_recognised_by_its_contents() -> None:
    plain = COMBINED * 3
    packed = gzip.compress(plain[:100]) + gzip.compress(plain[100:])  # as rotated logs are joined
    for raw in (plain, packed):
        lines = list(read_log(decompressed(BufferedReader(BytesIO(raw)))))
        assert [(found.line, type(found)) for found in lines] == [(n, Request) for n in (1, 2, 3)]


@pytest.mark.parametrize("damage", ["cut off", "overwritten", "followed by something else"])
def test_damaged_gzip_data_are_an_error_after_the_lines_before(damage: str) -> None:
    numbered = b"".join(line(request=f"GET /{n * 7919 % 10_007}") for n in range(5_000))
    packed = bytearray(gzip.compress(numbered))
    if damage == "cut off":
        del packed[-20:]
    elif damage == "overwritten":
        packed[-2_000:-1_000] = bytes(1_000)
    else:
        packed += b"text"
    found: list[Request | Malformed] = []
    with pytest.raises(DamagedLog, match="gzip"):
        found.extend(read_log(decompressed(BufferedReader(BytesIO(packed)))))
    assert found
    assert isinstance(found[0], Request)


@given(st.binary(max_size=200))
def test_no_line_is_fatal(noise: bytes) -> None:
    for raw in (noise, COMBINED[:60] + noise, line()[:30] + noise + line()[40:]):
        assert isinstance(parse(1, raw), Request | Malformed)


@pytest.mark.parametrize(
    "raw",
    [
        b"a b " + b"[" * MAX_LINE_BYTES,
        b"a b " + b'[x] "' * (MAX_LINE_BYTES // 5),
        b'a b [17/May/2024:10:05:03 +0000] "' + b'\\"' * (MAX_LINE_BYTES // 2),
        b'a b [17/May/2024:10:05:03 +0000] "GET /' + b" HTTP/" * (MAX_LINE_BYTES // 6) + b'" 200 1',
    ],
)
def test_lines_made_to_be_slow_are_not(raw: bytes) -> None:
    assert isinstance(parse(1, raw), Malformed)
