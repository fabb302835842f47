"""A process that appends to a log on Kafka until it is killed; see test_kafka_log.py.

Every acknowledged append's number is a line on the standard output. Its values say which append
they belong to: `append/record`.
"""

import os
import sys
from collections import deque

from connectors.log.kafka.log import KafkaLog
from connectors.log.kafka.settings import KafkaSettings
from streams.log import Entry

RECORDS = 7


def main(url: str, prefix: str) -> None:
    log = KafkaLog(KafkaSettings.of_url(url, prefix=prefix), "child")
    under_way: deque = deque()
    for n in range(1_000_000):
        entries = [Entry("t", i % 2, b"k", b"%d/%d" % (n, i)) for i in range(RECORDS)]
        appended = log.append(entries)
        appended.add_done_callback(lambda done, n=n: done.result() and os.write(1, b"%d\n" % n))
        under_way.append(appended)
        if len(under_way) > 20:
            under_way.popleft().result()


if __name__ == "__main__":
    main(*sys.argv[1:])
