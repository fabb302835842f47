"""A process that appends to a log until it is done or killed; see test_log_processes.py.

Every acknowledged batch is a line of JSON on the standard output: [[partition, offset, value], …].
The values say which batch they belong to, and how many records it has: `run/batch/record/records`.
"""

import os
import random
import sys
from collections import deque
from pathlib import Path

import msgspec

from connectors.log.merging import Merging
from connectors.log.sqlite import SqliteLog
from schemas.topic import Topic
from streams.log import Entry

TOPIC = Topic("t", partitions=2)


def main(path: str, run: str, batches: int) -> None:
    log = SqliteLog(Path(path), watermark_bytes=0)
    log.create([TOPIC])
    merging = Merging(log.reader, {})
    random.seed(run)
    in_flight = deque()
    for batch in range(batches):
        records = random.choice((1, 2, 5, 300))
        entries = [
            Entry("t", random.randrange(2), b"k", f"{run}/{batch}/{i}/{records}".encode())
            for i in range(records)
        ]
        appended = log.append(entries)
        appended.add_done_callback(
            lambda done, entries=entries: acknowledge(entries, done.result())
        )
        in_flight.append(appended)
        if len(in_flight) > 4:
            in_flight.popleft().result()
        if batch % 20 == 0:
            for step in merging.steps():
                if step is not None:
                    log.write((), step)
    log.close()


def acknowledge(entries, positions) -> None:
    line = [
        (position.partition, position.offset, entry.value.decode())
        for entry, position in zip(entries, positions, strict=True)
    ]
    os.write(1, msgspec.json.encode(line) + b"\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
