from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.log.merging import GROWTH, Size, plan
from connectors.log.segment import MAX_BYTES, MAX_RECORDS


def sizes(*records, size_bytes=1, every_ms=0):
    """Segments with so many records each."""
    return [Size(i, n, n * size_bytes, i * every_ms) for i, n in enumerate(records)]


def runs(planned):
    """The ids of each run."""
    return [[size.id for size in run] for run in planned.runs]


def test_neighbours_are_merged_once_they_make_a_much_larger_segment():
    assert runs(plan(sizes(*[1] * (GROWTH - 1)), None)) == []
    assert runs(plan(sizes(*[1] * GROWTH), None)) == [list(range(GROWTH))]


def test_a_large_segment_is_not_rewritten_for_a_few_records():
    assert runs(plan(sizes(1_000, *[1] * GROWTH), None)) == [list(range(1, GROWTH + 1))]


def test_what_can_grow_no_more_is_merged_whatever_comes_of_it():
    assert runs(plan(sizes(3_000, 10, 4_000), None)) == [[0, 1]]


def test_full_segments_are_left_alone():
    assert runs(plan(sizes(MAX_RECORDS, MAX_RECORDS, MAX_RECORDS), None)) == []
    assert plan(sizes(MAX_RECORDS, MAX_RECORDS), None).settled == 1


def test_segments_that_are_large_by_bytes_are_not_merged():
    assert runs(plan(sizes(1, 1, 1, size_bytes=MAX_BYTES // 2 + 1), None)) == []


def test_a_merged_segment_spans_no_more_time_than_allowed():
    assert runs(plan(sizes(*[1] * 20, every_ms=100), 500)) == [
        list(range(6)),
        list(range(6, 12)),
        list(range(12, 18)),
    ]


def test_only_what_may_still_grow_has_to_be_looked_at_again():
    planned = plan(sizes(4_000, 4_000, *[1] * 3), None)
    assert planned.settled == 1
    assert runs(planned) == []


RECORDS = st.integers(1, MAX_RECORDS)
MANY = st.lists(st.one_of(st.integers(1, 10), RECORDS), max_size=200)


@given(MANY, st.none() | st.integers(0, 1_000))
def test_runs_are_neighbours_that_fit_and_do_not_overlap(records, max_span_ms):
    segments = sizes(*records, size_bytes=300, every_ms=10)
    merged = [size for run in plan(segments, max_span_ms).runs for size in run]
    assert merged == sorted(set(merged))
    for run in plan(segments, max_span_ms).runs:
        assert [size.id for size in run] == list(range(run[0].id, run[-1].id + 1))
        assert len(run) > 1
        assert sum(size.records for size in run) <= MAX_RECORDS
        assert sum(size.size_bytes for size in run) <= MAX_BYTES
        assert max_span_ms is None or run[-1].time_ms - run[0].time_ms <= max_span_ms


@given(MANY)
def test_merging_again_and_again_ends_with_few_segments(records):
    segments = sizes(*records)
    total = sum(records)
    rounds = 0
    while (planned := plan(segments, None)).runs:
        segments = merged(segments, planned)
        rounds += 1
        assert rounds < 50
    # No two neighbours both fit into one, but for the last ones: a few of each order of magnitude.
    assert len(segments) <= 2 * total / MAX_RECORDS + 5 * GROWTH


@given(MANY)
def test_what_is_settled_stays_as_it_is(records):
    """As nothing before it can be merged with what comes later."""
    segments = sizes(*records)
    planned = plan(segments, None)
    settled_ids = {size.id for size in segments[: planned.settled]}
    later = plan([*merged(segments, planned), Size(10**6, 1, 1, 0)], None)
    for run in later.runs:
        assert not settled_ids & {size.id for size in run}


@settings(max_examples=20)
@given(st.lists(st.integers(1, 100), min_size=100, max_size=600))
def test_no_record_is_rewritten_often(records):
    rewritten = [0] * len(records)
    segments: list[Size] = []
    members: dict[int, list[int]] = {}
    for i, n in enumerate(records):
        segments.append(Size(i, n, n, 0))
        members[i] = [i]
        planned = plan(segments, None)
        for run in planned.runs:
            together = [j for size in run for j in members.pop(size.id)]
            members[run[-1].id] = together
            for j in together:
                rewritten[j] += 1
        segments = merged(segments, planned)
    assert max(rewritten) <= 6


def merged(segments, planned):
    """The segments after the plan was carried out."""
    replaced = {
        size.id: (run[-1], sum(s.records for s in run), sum(s.size_bytes for s in run))
        for run in planned.runs
        for size in run
    }
    result = []
    for size in segments:
        if size.id not in replaced:
            result.append(size)
        elif size == replaced[size.id][0]:
            last, records, size_bytes = replaced[size.id]
            result.append(Size(last.id, records, size_bytes, last.time_ms))
    return result
