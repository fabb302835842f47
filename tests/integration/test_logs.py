"""What every log does alike: in memory, in SQLite, on Kafka."""

import asyncio
import threading

import pytest
from logs import all_records, values

from connectors.log.sqlite import SqliteLog
from schemas.topic import Topic
from streams.errors import BadPosition, UnknownTopic
from streams.log import Entry, Position
from streams.memory import MemoryLog

TOPICS = [Topic("t", partitions=2), Topic("u", partitions=1)]


@pytest.fixture(params=["memory", "sqlite", "kafka"])
def log(request, tmp_path):
    if request.param == "memory":
        made = MemoryLog()
    elif request.param == "sqlite":
        made = SqliteLog(tmp_path / "log.db", watermark_bytes=0)
        request.addfinalizer(made.close)
    else:
        made = request.getfixturevalue("kafka_log")
    made.create(TOPICS)
    return made


def entry(value, partition=0, topic="t", key=None):
    return Entry(topic, partition, key, value)


def append(log, *entries):
    return list(log.append(entries).result(timeout=30))


def at(log, position):
    """Key and value of the record at a position."""
    records = log.read(*position, max_records=1)
    assert (records.topic, records.partition) == position[:2]
    assert (records.start, records.offsets[0]) == (position.offset, position.offset)
    return records.keys[0], records.values[0]


def test_topics_have_the_partitions_that_they_were_made_with(log):
    log.create([Topic("later", partitions=3), *TOPICS])
    assert log.topics() == {"t": 2, "u": 1, "later": 3}


def test_an_incarnation_is_a_name(log):
    assert log.incarnation
    assert log.incarnation == log.incarnation


def test_positions_are_in_the_order_of_the_entries_whatever_their_partitions(log):
    entries = [
        entry(b"a", 1, key=b"k"),
        entry(b"b", 0),
        entry(b"c", 0, "u", key=b""),
        entry(b"d", 1),
        entry(b"", 0),
    ]
    positions = append(log, *entries)
    assert [position[:2] for position in positions] == [one[:2] for one in entries]
    assert [at(log, position) for position in positions] == [one[2:] for one in entries]
    assert positions[0].offset < positions[3].offset


def test_positions_can_be_asked_for_by_index_and_slice(log):
    found = log.append([entry(b"a"), entry(b"b"), entry(b"c")]).result(timeout=30)
    assert found[-1] == list(found)[2]
    assert list(found[1:]) == list(found)[1:]
    assert len(found) == 3


def test_positions_are_written_and_read_as_text(log):
    (position,) = append(log, entry(b"a", 1))
    assert Position.parse(str(position)) == position
    with pytest.raises(BadPosition):
        Position.parse(str(position) + "x")


def test_appends_are_in_the_order_of_their_submission(log):
    futures = [log.append([entry(b"%d" % i), entry(b"%d'" % i)]) for i in range(200)]
    for future in futures:
        future.result(timeout=30)
    expected = [value for i in range(200) for value in (b"%d" % i, b"%d'" % i)]
    assert values(log, "t", 0) == expected
    offsets = [positions[0].offset for positions in (list(f.result()) for f in futures)]
    assert offsets == sorted(set(offsets))


def test_an_empty_append_is_acknowledged(log):
    assert append(log) == []


def test_what_cannot_be_appended_whole_is_not_appended_at_all(log):
    for wrong in (entry(b"x", partition=2), entry(b"x", topic="none"), entry(b"x", partition=-1)):
        before = log.append([entry(b"before")])
        failed = log.append([entry(b"in part"), wrong])
        assert isinstance(failed.exception(timeout=30), UnknownTopic)
        before.result(timeout=30)
    append(log, entry(b"after"))
    assert values(log, "t", 0) == [b"before"] * 3 + [b"after"]


def test_reading_starts_where_it_is_told_and_takes_what_it_is_told(log):
    for n in (3, 4, 5):
        append(log, *(entry(b"%d-%d" % (n, i), key=b"k") for i in range(n)))
    whole = list(all_records(log, "t", 0))
    assert [value for _, _, value in whole] == [
        b"%d-%d" % (n, i) for n in (3, 4, 5) for i in range(n)
    ]
    for index, (offset, _, _) in enumerate(whole):
        for at_once in (1, 2, 100):
            assert list(all_records(log, "t", 0, offset, at_once)) == whole[index:]


def test_beyond_the_end_there_is_nothing(log):
    (position,) = append(log, entry(b"x"))
    assert log.read("t", 0, position.offset + 1, 10) is None
    assert log.read("t", 0, position.offset + 1_000, 10) is None
    assert log.read("t", 1, 0, 10) is None


def test_who_has_read_everything_stands_at_the_end_of_the_bounds(log):
    assert log.bounds("t", 0) == (0, 0)
    for n in range(1, 4):
        append(log, entry(b"%d" % n), entry(b"%d'" % n))
        first, end = log.bounds("t", 0)
        assert first == 0
        assert list(all_records(log, "t", 0))[-1][0] + 1 == end
        assert log.read("t", 0, end, 10) is None
        assert log.bounds("t", 1) == (0, 0)


def test_times_are_those_of_the_appends(log):
    append(log, entry(b"a"))
    append(log, entry(b"b"))
    times_ms = [
        log.read("t", 0, offset, 1).times_ms[0] for offset, _, _ in all_records(log, "t", 0)
    ]
    assert times_ms == sorted(times_ms)
    assert times_ms[-1] - times_ms[0] < 60_000


def test_large_and_empty_values_survive(log):
    large = [bytes([i]) * 3_000_000 for i in range(3)]
    append(log, *(entry(value) for value in [*large, b"", b"\x00"]))
    assert values(log, "t", 0) == [*large, b"", b"\x00"]


def test_unknown_partitions_are_refused(log):
    for read in (lambda: log.bounds("t", 2), lambda: log.read("none", 0, 0, 1)):
        with pytest.raises(UnknownTopic):
            read()


def test_an_append_wakes_who_waits(log):
    async def wait():
        version = log.version()
        waiting = asyncio.create_task(log.changed(version, timeout_s=30))
        await asyncio.sleep(0)
        await asyncio.wrap_future(log.append([entry(b"x")]))
        return await waiting

    assert asyncio.run(wait())


def test_waiting_for_nothing_ends(log):
    async def wait():
        return await log.changed(log.version(), timeout_s=0.05)

    append(log, entry(b"x"))
    log.read("t", 0, 0, 10)
    while asyncio.run(wait()):
        pass
    assert values(log, "t", 0) == [b"x"]


def test_who_follows_reads_every_record_once_while_others_append(log):
    if isinstance(log, MemoryLog):
        pytest.skip("is for one thread")
    writers, each = 4, 100
    threads = [
        threading.Thread(
            target=lambda w=w: [append(log, entry(b"%d/%d" % (w, i))) for i in range(each)]
        )
        for w in range(writers)
    ]

    async def follow():
        found, offset = [], 0
        while len(found) < writers * each:
            version = log.version()
            records = log.read("t", 0, offset, 50)
            if records is None:
                assert await log.changed(version, timeout_s=30)
                continue
            assert records.start == offset
            found += records.values
            offset = records.next_offset
        return found

    for thread in threads:
        thread.start()
    found = asyncio.run(follow())
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(b"%d/%d" % (w, i) for w in range(writers) for i in range(each))
    for w in range(writers):
        mine = [value for value in found if value.startswith(b"%d/" % w)]
        assert mine == [b"%d/%d" % (w, i) for i in range(each)]
