import csv
import io
import json
import os
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lake_events import refused
from rich.console import Console

from batch.engine import Engine
from batch.errors import OutputError, QueryError
from batch.output import MAX_TABLE_ROWS, WRITERS, print_table, write_csv, write_json, write_parquet

QUERY = """
SELECT * FROM (VALUES
    (1, 'a,"b"', TIMESTAMPTZ '2024-05-17 12:00:00+00', DATE '2024-05-17', 1.5, true, [1, 2], {'x': 1}, MAP {'k': 2}),
    (2, '', NULL, NULL, NULL, false, [], NULL, MAP {})
) AS t(n, text, time, day, ratio, yes, list, struct, map)
"""


@pytest.fixture
def result(lake, log):
    with Engine(lake, log) as engine:
        yield engine.sql


def written(write, result):
    out = io.BytesIO()
    write(result, out)
    return out.getvalue()


def shown(result, width=200):
    console = Console(file=io.StringIO(), width=width)
    print_table(result, console)
    return console.file.getvalue()


def test_csv_can_be_read_again(result):
    text = written(write_csv, result(QUERY)).decode()
    header, first, second = csv.reader(io.StringIO(text))
    assert header == ["n", "text", "time", "day", "ratio", "yes", "list", "struct", "map"]
    assert first == [
        *("1", 'a,"b"', "2024-05-17 12:00:00.000000Z", "2024-05-17", "1.5", "true"),
        *("[1,2]", '{"x":1}', '{"k":2}'),
    ]
    assert second == ["2", "", "", "", "", "false", "[]", "", "{}"]
    assert '2,"",,,,' in text


def test_json_is_a_document_per_row_and_line(result):
    first, second = map(json.loads, written(write_json, result(QUERY)).splitlines())
    assert first == {
        **{"n": 1, "text": 'a,"b"', "time": "2024-05-17T12:00:00Z", "day": "2024-05-17"},
        **{"ratio": 1.5, "yes": True, "list": [1, 2], "struct": {"x": 1}, "map": {"k": 2}},
    }
    assert second["time"] is None


def test_line_breaks_in_values_break_no_line(result):
    (line,) = written(write_json, result("SELECT chr(10) || chr(13) AS text")).splitlines()
    assert json.loads(line) == {"text": "\n\r"}


def test_sums_are_numbers_in_json(result):
    query = "SELECT sum(range) AS total, 0.25::DECIMAL(5, 2) AS part, 'nan'::DOUBLE AS none FROM range(5)"
    row = json.loads(written(write_json, result(query)), parse_float=Decimal)
    assert row == {"total": 10, "part": Decimal("0.25"), "none": None}


def test_parquet_can_be_read_again(result):
    table = pq.read_table(io.BytesIO(written(write_parquet, result(QUERY))))
    assert table.to_pylist() == result(QUERY).read_all().to_pylist()


def test_parquet_can_go_through_a_pipe(result):
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as out:
        write_parquet(result("SELECT 7 AS n"), out)
    with os.fdopen(reading, "rb") as source:
        assert pq.read_table(io.BytesIO(source.read())).to_pylist() == [{"n": 7}]


@pytest.mark.parametrize("name", WRITERS)
def test_a_result_without_rows_is_well_formed(name, result):
    content = written(WRITERS[name], result("SELECT 1 AS n, [1] AS list WHERE false"))
    match name:
        case "csv":
            assert content == b'"n","list"\n'
        case "json":
            assert content == b""
        case "parquet":
            assert pq.read_table(io.BytesIO(content)).column_names == ["n", "list"]


@pytest.mark.parametrize("name", WRITERS)
def test_rows_are_written_as_they_are_computed(name, result):
    batches = result("SELECT range AS n FROM range(50000)")
    taken = []

    def counting():
        for batch in batches:
            taken.append(size())
            yield batch

    out = io.BytesIO()
    size = lambda: len(out.getvalue())  # noqa: E731
    WRITERS[name](pa.RecordBatchReader.from_batches(batches.schema, counting()), out)
    assert len(taken) > 2
    assert taken[-1] > taken[0]


@pytest.mark.parametrize("write", [write_json, write_parquet])
def test_columns_of_one_name_are_refused_where_names_count(write, result):
    with refused(OutputError, "n", "AS"):
        written(write, result("SELECT 1 AS n, 2 AS n"))


def test_types_that_parquet_does_not_have_are_refused(result):
    with refused(OutputError, "CAST"):
        written(write_parquet, result("SELECT INTERVAL 1 DAY AS delay"))


@pytest.mark.parametrize("name", WRITERS)
def test_a_failing_query_fails_while_writing(name, result):
    query = "SELECT CASE WHEN range = 99999 THEN error('too hot') END AS x FROM range(100000)"
    with refused(QueryError, "too hot"):
        written(WRITERS[name], result(query))


def test_a_table_shows_rows(result):
    text = shown(result(QUERY))
    assert "2024-05-17T12:00:00Z" in text
    assert '{"x":1}' in text
    assert "NULL" in text


def test_a_table_shows_the_beginning_of_many_rows_and_says_so(result):
    text = shown(result("SELECT 'row ' || range AS name FROM range(100000)"))
    assert text.count("row ") == MAX_TABLE_ROWS
    assert "the first 1,000 rows" in text
    assert "first" not in shown(result("SELECT range FROM range(1000)"))


def test_data_cannot_play_with_the_terminal(result):
    text = shown(result("SELECT '[bold]' || chr(27) || '[2J' || chr(10) AS agent"))
    assert "[bold]\\x1b[2J\\n" in text


def test_columns_that_have_no_room_are_printed_one_below_the_other(result):
    columns = ", ".join(f"{n}{n} AS column_{n}" for n in range(20, 40))
    text = shown(result(f"SELECT {columns} UNION ALL SELECT {columns}"), width=80)
    for n in range(20, 40):
        assert text.count(f"│ column_{n} │ {n}{n} ") == 2
    assert "row 2" in text
    assert "no rows of 20 columns" in shown(result(f"SELECT {columns} WHERE false"), width=80)
