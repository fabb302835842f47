import asyncio
import sqlite3
import threading
from contextlib import closing

import pytest
from logs import all_records, segments, values

from connectors.database import FORMAT, connect
from connectors.errors import NewerFormat, TopicMismatch
from connectors.log.segment import MAX_BYTES, MAX_RECORDS
from connectors.log.sqlite import SqliteLog
from schemas.topic import Topic
from streams.errors import LogUnavailable, UnknownTopic
from streams.log import Entry, Position

TOPICS = [Topic("t", partitions=2), Topic("u", partitions=1)]


@pytest.fixture
def log(tmp_path):
    log = SqliteLog(tmp_path / "log.db", watermark_bytes=0)
    log.create(TOPICS)
    yield log
    log.close()


@pytest.fixture
def held(log):
    """Holds the writer up, so that everything appended meanwhile becomes one transaction."""
    release, holding = threading.Event(), threading.Event()

    def hold(connection):
        holding.set()
        release.wait(10)

    log.write((), hold)
    holding.wait(10)
    yield release
    release.set()


def entry(value, partition=0, topic="t", key=None):
    return Entry(topic, partition, key, value)


def positions(future):
    return list(future.result(timeout=10))


def test_appends_of_one_transaction_share_a_segment_and_keep_their_order(log, held):
    futures = [log.append([entry(b"%d" % i), entry(b"%d'" % i)]) for i in range(5)]
    held.set()
    assert [positions(future)[0].offset for future in futures] == [0, 2, 4, 6, 8]
    assert values(log, "t", 0)[:4] == [b"0", b"0'", b"1", b"1'"]
    assert segments(log) == [(1, 10)]


def test_a_write_that_fails_takes_no_other_with_it(log, held):
    def fail(connection):
        connection.execute("INSERT INTO meta VALUES ('half', 'done')")
        raise ValueError("no")

    before = log.append([entry(b"before")])
    failed = log.write([entry(b"failed")], fail)
    astray = log.append([entry(b"astray"), entry(b"x", partition=9)])
    after = log.append([entry(b"after")])
    held.set()
    assert isinstance(failed.exception(timeout=10), ValueError)
    assert isinstance(astray.exception(timeout=10), UnknownTopic)
    assert positions(before) + positions(after) == [Position("t", 0, 0), Position("t", 0, 1)]
    assert values(log, "t", 0) == [b"before", b"after"]
    assert log.reader().execute("SELECT * FROM meta WHERE name = 'half'").fetchone() is None


def test_an_append_that_was_given_up_before_its_turn_is_not_made(log, held):
    given_up = log.append([entry(b"given up")])
    assert given_up.cancel()
    kept = log.append([entry(b"kept")])
    held.set()
    assert positions(kept) == [Position("t", 0, 0)]
    assert values(log, "t", 0) == [b"kept"]


def test_statements_and_records_are_one_transaction(log):
    def note(connection):
        connection.execute("INSERT INTO meta VALUES ('note', 'there')")

    log.write([entry(b"a")], note).result(timeout=10)
    assert log.reader().execute("SELECT value FROM meta WHERE name = 'note'").fetchone() == (
        "there",
    )


def test_a_group_that_cannot_begin_fails_as_a_whole_and_writes_again_later(log, monkeypatch):
    monkeypatch.setattr("connectors.database.BUSY_TIMEOUT_S", 0.05)
    with closing(connect(log.path)) as other:
        other.execute("BEGIN IMMEDIATE")
        failed = [log.append([entry(b"%d" % i)]) for i in range(20)]
        for future in failed:
            assert isinstance(future.exception(timeout=10), LogUnavailable)
        other.execute("ROLLBACK")
    assert positions(log.append([entry(b"after")])) == [Position("t", 0, 0)]


def test_more_than_a_segment_holds_is_cut_into_several(log):
    log.append([entry(b"%d" % i) for i in range(2 * MAX_RECORDS + 1)]).result(timeout=10)
    assert segments(log) == [(1, MAX_RECORDS), (1, MAX_RECORDS), (1, 1)]
    assert values(log, "t", 0) == [b"%d" % i for i in range(2 * MAX_RECORDS + 1)]


def test_large_records_are_cut_by_bytes(log):
    large = [bytes([i]) * (MAX_BYTES // 2) for i in range(5)]
    huge = b"x" * (3 * MAX_BYTES)
    log.append([entry(value) for value in [*large, huge, b"small"]]).result(timeout=10)
    assert [records for _, records in segments(log)] == [2, 2, 1, 1, 1]
    assert values(log, "t", 0) == [*large, huge, b"small"]


def test_a_read_takes_a_bounded_number_of_bytes(log):
    for _ in range(20):
        log.append([entry(bytes(2 * MAX_BYTES))])
    log.append([entry(b"last")]).result(timeout=10)
    assert len(log.read("t", 0, 0, 1_000)) < 20
    assert len(values(log, "t", 0)) == 21


def test_reading_starts_where_it_is_told_even_in_the_middle_of_a_segment(log):
    for n in (3, 4, 5):
        log.append([entry(b"%d-%d" % (n, i), key=b"k") for i in range(n)]).result(timeout=10)
    whole = list(all_records(log, "t", 0))
    for offset in range(12):
        for at_once in (1, 2, 100):
            assert list(all_records(log, "t", 0, offset, at_once)) == whole[offset:]
    assert log.read("t", 0, 12, 10) is None
    assert log.read("t", 0, 99, 10) is None


def test_a_topic_keeps_its_number_of_partitions(log):
    log.create(TOPICS)
    with pytest.raises(TopicMismatch, match="2 partitions"):
        log.create([Topic("t", partitions=3), Topic("new", partitions=1)])
    assert log.topics() == {"t": 2, "u": 1}


def test_a_topic_made_by_another_process_can_be_appended_to(log):
    with closing(SqliteLog(log.path, watermark_bytes=0)) as other:
        other.create([Topic("later", partitions=1)])
        assert positions(log.append([entry(b"x", topic="later")])) == [Position("later", 0, 0)]


def test_a_file_of_a_later_format_is_refused(tmp_path):
    path = tmp_path / "log.db"
    with closing(connect(path)) as connection:
        connection.execute(f"PRAGMA user_version={FORMAT.number + 1}")
    with pytest.raises(NewerFormat, match=f"format {FORMAT.number + 1}"):
        SqliteLog(path)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "log.db").write_bytes(b"not a database at all" * 500)
    with pytest.raises(LogUnavailable, match="no database"):
        SqliteLog(tmp_path / "log.db")


def test_closing_finishes_what_was_submitted_and_refuses_the_rest(tmp_path):
    log = SqliteLog(tmp_path / "log.db", watermark_bytes=0)
    log.create(TOPICS)
    submitted = [log.append([entry(b"%d" % i)]) for i in range(200)]
    log.close()
    assert [positions(future)[0].offset for future in submitted] == list(range(200))
    assert isinstance(log.append([entry(b"late")]).exception(timeout=10), LogUnavailable)
    for read in (log.version, log.reader, lambda: log.read("t", 0, 0, 1)):
        with pytest.raises(LogUnavailable, match="closed"):
            read()
    log.close()


def test_closing_leaves_one_file_even_if_other_threads_have_read(tmp_path):
    log = SqliteLog(tmp_path / "log.db", watermark_bytes=0)
    log.create(TOPICS)
    log.append([entry(b"x")]).result(timeout=10)
    read, end = threading.Event(), threading.Event()

    def reading():
        log.read("t", 0, 0, 1)
        read.set()
        end.wait(10)

    thread = threading.Thread(target=reading)
    thread.start()
    assert read.wait(10)
    log.close()
    assert [path.name for path in tmp_path.iterdir()] == ["log.db"]
    end.set()
    thread.join()


def test_the_ids_of_format_1_are_forgotten_and_nothing_else(tmp_path):
    path = tmp_path / "log.db"
    with closing(SqliteLog(path, watermark_bytes=0)) as log:
        log.create(TOPICS)
        positions(log.append([entry(b"x")]))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE seen")
        connection.execute("CREATE TABLE seen (topic, generation, id, time_ms)")
        connection.execute("INSERT INTO seen VALUES ('t', 1, 'id', 0)")
        connection.execute("PRAGMA user_version=1")
        connection.commit()
    (done,) = FORMAT.upgrade(path)
    assert done.endswith("ids of events are remembered by tenant, from now on")
    with closing(SqliteLog(path, watermark_bytes=0)) as log:
        assert values(log, "t", 0) == [b"x"]
        assert log.reader().execute("SELECT tenant FROM seen").fetchall() == []


def test_connections_of_ended_threads_are_closed(log):
    found = []
    for _ in range(3):
        thread = threading.Thread(target=lambda: found.append(log.reader()))
        thread.start()
        thread.join()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        found[0].execute("SELECT 1")
    found[-1].execute("SELECT 1")


def test_a_commit_of_this_process_wakes_who_waits(log):
    async def wait():
        version = log.version()
        waiting = asyncio.create_task(log.changed(version, timeout_s=30))
        await asyncio.wrap_future(log.append([entry(b"x")]))
        return await waiting, await log.changed(log.version(), timeout_s=0.01)

    assert asyncio.run(wait()) == (True, False)
