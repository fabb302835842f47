"""What the log on Kafka promises when brokers and processes die, and what it tells Kafka."""

import itertools
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import kafka_log_child
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from kafka_logs import settings_for
from logs import all_records, values
from spill_child import CATALOG, SEEN, entry

from connectors.errors import BadLogSettings, RecordTooLarge, TopicMismatch
from connectors.log.kafka.log import KafkaLog
from connectors.log.kafka.settings import KafkaSettings
from connectors.log.kafka.topics import MAX_RECORD_BYTES
from connectors.log.retention import DAY_MS
from connectors.log.spill import SpillingLog
from connectors.log.spiller import SpillSettings
from schemas.topic import Topic
from streams.errors import LogUnavailable
from streams.log import Entry

T = Topic("t", partitions=2)
TIMEOUT_S = 30


@pytest.fixture
def log(kafka_log):
    kafka_log.create([T])
    return kafka_log


def eventually(condition, timeout_s=TIMEOUT_S):
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def everything(log):
    return [value for partition in range(2) for value in values(log, "t", partition)]


def append(log, *values_, partition=0, key=None):
    entries = [Entry("t", partition, key, value) for value in values_]
    return list(log.append(entries).result(TIMEOUT_S))


# What is in the cluster


def configuration_of(kafka, topic):
    resource = ConfigResource(ResourceType.TOPIC, topic)
    admin = AdminClient({"bootstrap.servers": kafka.url.removeprefix("kafka://")})
    (described,) = admin.describe_configs([resource]).values()
    return {name: entry.value for name, entry in described.result(TIMEOUT_S).items()}


@pytest.mark.parametrize(
    ("topic", "policy", "retention_ms"),
    [
        (Topic("kept"), "delete", -1),
        (Topic("archived", retention_days=7), "delete", -1),
        (Topic("dropped", retention_days=7, archived=False), "delete", 7 * DAY_MS),
        (Topic("state", compacted=True), "compact", -1),
        (
            Topic("both", compacted=True, retention_days=1, archived=False),
            "compact,delete",
            DAY_MS,
        ),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_topics_are_kept_as_the_catalog_declares(
    kafka, kafka_log, kafka_settings, topic, policy, retention_ms
):
    kafka_log.create([topic])
    found = configuration_of(kafka, kafka_settings.prefix + topic.name)
    assert found["cleanup.policy"] == policy
    assert found["retention.ms"] == str(retention_ms)
    assert found["message.timestamp.type"] == "LogAppendTime"


def test_a_topic_keeps_its_number_of_partitions(log):
    with pytest.raises(TopicMismatch, match="2 partitions"):
        log.create([Topic("t", partitions=3)])


def test_of_a_compacted_topic_the_newest_record_of_each_key_stays(kafka, kafka_log, kafka_settings):
    kafka_log.create([Topic("t", partitions=2, compacted=True)])
    change_configuration(
        kafka, kafka_settings.prefix + "t", {"segment.ms": "100", "min.cleanable.dirty.ratio": "0"}
    )
    for round_ in range(3):
        entries = [Entry("t", 0, b"%d" % key, b"%d-%d" % (key, round_)) for key in range(10)]
        kafka_log.append(entries).result(TIMEOUT_S)

    def is_compacted():
        append(kafka_log, b"", key=b"last")  # rolls the segment before: the active one stays whole
        with closing(KafkaLog(kafka_settings, "other")) as other:
            found = [value for _, _, value in all_records(other, "t", 0)]
        return found[:10] == [b"%d-2" % key for key in range(10)]

    eventually(is_compacted, timeout_s=60)


def change_configuration(kafka, topic, settings):
    changes = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in settings.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=changes)
    admin = AdminClient({"bootstrap.servers": kafka.url.removeprefix("kafka://")})
    for changed in admin.incremental_alter_configs([resource]).values():
        changed.result(TIMEOUT_S)


def test_logs_with_different_prefixes_share_a_cluster(kafka, log):
    append(log, b"mine")
    with closing(KafkaLog(settings_for(kafka), "test")) as other:
        assert other.topics() == {}
        assert other.incarnation != log.incarnation
        other.create([T])
        assert everything(other) == []


def test_a_log_that_is_opened_again_is_the_same(log, kafka_settings):
    position = append(log, b"x")[0]
    with closing(KafkaLog(kafka_settings, "other")) as other:
        assert other.incarnation == log.incarnation
        assert other.read(*position, 1).values == [b"x"]


# Transactions


def test_aborted_and_open_transactions_are_not_read(kafka, log, kafka_settings):
    append(log, b"before")
    producer = Producer(
        {
            "bootstrap.servers": kafka_settings.servers,
            "transactional.id": f"{kafka_settings.prefix}stranger",
        }
    )
    producer.init_transactions(TIMEOUT_S)
    for _ in range(20):
        producer.begin_transaction()
        producer.produce(f"{kafka_settings.prefix}t", b"never", partition=0)
        producer.flush()
        producer.abort_transaction(TIMEOUT_S)
    end = log.bounds("t", 0)[1]
    assert log.read("t", 0, 0, 10).next_offset == end
    with closing(KafkaLog(kafka_settings, "other")) as other:
        assert other.bounds("t", 0)[1] == end
    producer.begin_transaction()
    producer.produce(f"{kafka_settings.prefix}t", b"open", partition=0)
    producer.flush()
    assert log.read("t", 0, end, 10) is None
    producer.commit_transaction(TIMEOUT_S)
    assert log.bounds("t", 0)[1] > end
    assert everything(log) == [b"before", b"open"]


def test_a_record_that_is_too_large_fails_alone(log):
    before = log.append([Entry("t", 0, None, b"before")])
    failed = log.append([Entry("t", 0, None, bytes(MAX_RECORD_BYTES + 1))])
    after = log.append([Entry("t", 0, None, bytes(MAX_RECORD_BYTES))])
    assert isinstance(failed.exception(TIMEOUT_S), RecordTooLarge)
    before.result(TIMEOUT_S)
    after.result(TIMEOUT_S)
    assert list(map(len, everything(log))) == [6, MAX_RECORD_BYTES]


def test_closing_finishes_what_was_submitted_and_refuses_the_rest(kafka_settings):
    log = KafkaLog(kafka_settings, "test")
    log.create([T])
    submitted = [log.append([Entry("t", 0, None, b"%d" % i)]) for i in range(50)]
    log.close()
    for append_ in submitted:
        append_.result(timeout=0)
    assert isinstance(log.append([]).exception(timeout=0), LogUnavailable)
    for read in (log.version, lambda: log.read("t", 0, 0, 1), lambda: log.bounds("t", 0)):
        with pytest.raises(LogUnavailable, match="closed"):
            read()
    log.close()


# Deaths


def test_what_was_acknowledged_while_the_broker_was_killed_is_there_once_and_nothing_else(
    kafka, kafka_settings
):
    settings = KafkaSettings(kafka_settings.servers, kafka_settings.prefix, timeout_s=2)
    with closing(KafkaLog(settings, "test")) as log:
        log.create([T])
        acknowledged, refused = appending_while(
            log, lambda: [die(kafka, away_s) for away_s in (0, 3)]
        )
        assert refused
        eventually(lambda: readable(log, "t") > 0)
        assert Counter(everything(log)) == Counter(acknowledged)


def die(kafka, away_s):
    time.sleep(0.5)
    kafka.kill()
    time.sleep(away_s)
    kafka.start()
    time.sleep(0.5)


def appending_while(log, work):
    """The values that were acknowledged, and those that were refused, while something went on."""
    acknowledged, refused = [], []
    done = threading.Event()

    def run():
        numbers = itertools.count()
        while not done.is_set():
            some = {}
            for n in itertools.islice(numbers, 20):
                entries = [Entry("t", i % 2, b"k", b"%d/%d" % (n, i)) for i in range(5)]
                some[log.append(entries)] = [one.value for one in entries]
            for future, values_ in some.items():
                error = future.exception(TIMEOUT_S)
                assert error is None or isinstance(error, LogUnavailable)
                (refused if error else acknowledged).extend(values_)

    thread = threading.Thread(target=run)
    thread.start()
    work()
    done.set()
    thread.join()
    return acknowledged, refused


def test_a_killed_writer_leaves_no_append_in_part_and_nobody_waiting(kafka, log, kafka_settings):
    child = Path(kafka_log_child.__file__)
    command = [sys.executable, str(child), kafka.url, kafka_settings.prefix]
    acknowledged = []
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        for line in process.stdout:
            acknowledged.append(int(line))
            if len(acknowledged) == 200:
                process.kill()
    with closing(KafkaLog(kafka_settings, "child")) as successor:
        began_s = time.monotonic()
        append(successor, b"after/0")
        found = Counter(value.partition(b"/")[0] for value in everything(successor))
        assert time.monotonic() - began_s < 5  # no wait for the open transaction to time out
    assert found.pop(b"after") == 1
    assert {int(n) for n in found} >= set(acknowledged)
    assert set(found.values()) == {kafka_log_child.RECORDS}


def test_without_a_broker_everything_fails_clearly_and_later_works_again(kafka, kafka_settings):
    settings = KafkaSettings(kafka_settings.servers, kafka_settings.prefix, timeout_s=1)
    with closing(KafkaLog(settings, "test")) as log:
        log.create([T])
        position = append(log, b"before")[0]
        kafka.kill()
        for refused in (
            lambda: append(log, b"meanwhile"),
            lambda: log.bounds("t", 0),
            log.topics,
            lambda: KafkaLog(settings, "other"),
        ):
            with pytest.raises(LogUnavailable, match="is Kafka up"):
                refused()
        kafka.start()

        eventually(lambda: log.append([Entry("t", 0, None, b"after")]).exception(TIMEOUT_S) is None)
        eventually(lambda: readable(log, "t") == 2)
        assert log.read(*position, 1).values == [b"before"]
        assert everything(log) == [b"before", b"after"]


def test_what_spills_while_the_broker_is_away_is_drained_in_order_and_once(
    kafka, kafka_settings, tmp_path
):
    settings = KafkaSettings(kafka_settings.servers, kafka_settings.prefix, timeout_s=1)
    spill = SpillSettings(batch_records=20, records_per_s=100_000, retry_s=0.1)
    with (
        closing(KafkaLog(settings, "test")) as log,
        closing(SpillingLog(log, CATALOG, tmp_path / "spill", spill)) as spilling,
    ):
        log.create([SEEN])
        eventually(lambda: log.append([entry("before")]).exception(TIMEOUT_S) is None)
        kafka.kill()
        spilled = [spilling.append([entry(str(i))]) for i in range(100)]
        assert [list(one.result(TIMEOUT_S)) for one in spilled] == [[]] * 100
        kafka.start()
        eventually(lambda: readable(log, "seen") >= 101)
        found = CATALOG.decoder("seen").many(values(log, "seen", 0))
        assert [event.data.page for event in found] == ["before", *map(str, range(100))]
        causes = [event.cause for event in found[1:]]
        assert len(set(causes)) == 100
        assert None not in causes


def readable(log, topic):
    """How many records can be read now."""
    try:
        return len(values(log, topic, 0))
    except LogUnavailable:
        return 0


# Settings


def test_settings_are_refused_with_what_is_wrong(kafka):
    with pytest.raises(BadLogSettings, match=r"kafka://HOST:PORT"):
        KafkaSettings.of_url("127.0.0.1:9092")
    with pytest.raises(BadLogSettings, match="prefix"):
        KafkaSettings.of_url(kafka.url, prefix="a b")
    with pytest.raises(BadLogSettings, match=r"no\.such"):
        KafkaLog(settings_for(kafka, options={"no.such": "option"}), "test")


def test_security_settings_reach_the_client(kafka, tmp_path):
    options = {"security.protocol": "SASL_SSL", "sasl.mechanisms": "PLAIN"}
    with pytest.raises(BadLogSettings, match=r"sasl\.username and sasl\.password must be set"):
        KafkaLog(settings_for(kafka, options=options), "test")
    options = {"security.protocol": "SSL", "ssl.ca.location": str(tmp_path / "none")}
    with pytest.raises(BadLogSettings, match=r"ssl\.ca\.location"):
        KafkaLog(settings_for(kafka, options=options), "test")


# Reading


def test_reads_far_behind_the_end_and_at_it_do_not_disturb_each_other(log):
    records, size = 30_000, 500
    for first in range(0, records, 5_000):
        append(log, *(b"%d" % i + bytes(size) for i in range(first, first + 5_000)))
    end = log.bounds("t", 0)[1]
    scanned, followed, offset = [], [], 0
    while (found := log.read("t", 0, offset, 1_000)) is not None:
        scanned += found.values
        offset = found.next_offset
        if len(scanned) % 10_000 == 0:
            (position,) = append(log, b"new")
            assert position.offset >= end
            newest = log.read("t", 0, end, 1_000)
            followed += newest.values
            end = newest.next_offset
    assert scanned[:records] == [b"%d" % i + bytes(size) for i in range(records)]
    assert scanned[records:] == followed == [b"new"] * len(followed)


def test_after_retention_reading_goes_on_with_what_is_left(kafka, log, kafka_settings):
    positions = append(log, *(b"%d" % i for i in range(10)))
    admin = AdminClient({"bootstrap.servers": kafka_settings.servers})
    place = TopicPartition(f"{kafka_settings.prefix}t", 0, positions[4].offset)
    for deleted in admin.delete_records([place]).values():
        deleted.result(TIMEOUT_S)
    with closing(KafkaLog(kafka_settings, "other")) as other:
        assert other.bounds("t", 0)[0] == positions[4].offset
        found = other.read("t", 0, 0, 100)
        assert found.start == 0
        assert found.values == [b"%d" % i for i in range(4, 10)]


def test_no_consumer_group_is_left_behind(kafka, log, kafka_settings):
    append(log, b"x")
    assert everything(log) == [b"x"]
    admin = AdminClient({"bootstrap.servers": kafka_settings.servers})
    groups = admin.list_consumer_groups().result(TIMEOUT_S).valid
    assert not [g for g in groups if g.group_id.startswith(kafka_settings.prefix)]
