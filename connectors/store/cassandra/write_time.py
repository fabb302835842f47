"""Write times: which of two writes to a row wins, whoever comes last.

Cassandra keeps the cell with the highest write timestamp, a 64-bit integer that is the time of day
unless a statement says otherwise. Ours is the *source offset*: how far the row's partition had been
applied when the row became what it is. So a repeated write changes nothing, and a worker that has
lost its partition loses against its successor, which has applied more, or writes the same again.

The log's incarnation is no part of it: another log has other generations, and so tables of its own
(generations.py). That also keeps times small: ScyllaDB refuses those that are days ahead of now,
taken as microseconds.
"""

from streams.commit import Commit


def source_time(commit: Commit) -> int:
    """The write time of a commit's rows: the offset it is applied up to; of several topics the sum.

    It grows from commit to commit of a partition. Where a fold reads one topic, that is all: what a
    stale worker writes at a time it has read in the log, and whoever writes later in the log has read
    it too. Where it reads several, a stale worker may have read more of one and less of another, so
    that its last write, never committed, beats a newer one: there, times have to come from what
    orders the owners of a partition, such as the offset of the commit's record in the changelog.
    """
    return sum(commit.offsets.values())
