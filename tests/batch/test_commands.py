"""The commands over history, called as from a terminal."""

import json

import pyarrow.parquet as pq
import pytest
from lake_events import refused

from batch.errors import QueryError, UnknownQuery
from batch.queries import queries
from sixfold.errors import NoHost, SixfoldError

CLICKS = 5


def rows_of(printed):
    return [json.loads(line) for line in printed.splitlines()]


def clicks_in(printed):
    (row,) = [row for row in rows_of(printed) if row["topic"] == "clicks"]
    return row


@pytest.mark.usefixtures("clicked")
def test_archive_says_what_became_of_the_records_of_each_topic(sixfold):
    assert clicks_in(sixfold("batch", "run", "archive", "--json")) == {
        **{"topic": "clicks", "rows": CLICKS, "duplicates": 0, "malformed": 1, "unknown": 0}
    }
    assert clicks_in(sixfold("batch", "run", "archive", "--json"))["rows"] == 0


@pytest.mark.usefixtures("clicked")
def test_archive_prints_a_table(sixfold):
    assert b"malformed" in sixfold("batch", "run", "archive")


def test_jobs_are_listed_with_what_they_do(sixfold):
    jobs = {row["job"]: row["what"] for row in rows_of(sixfold("batch", "list", "--json"))}
    assert "into the lake" in jobs["archive"]
    assert "merge small files" in jobs["compact"]


@pytest.mark.usefixtures("clicked")
def test_compact_says_how_many_rows_it_moved_and_leaves_a_record(sixfold):
    sixfold("batch", "run", "archive")
    moved = rows_of(sixfold("batch", "run", "compact", "--json"))
    assert {row["topic"]: row["rows"] for row in moved}["clicks"] == CLICKS
    (run,) = rows_of(sixfold("sql", "SELECT * FROM batch WHERE job = 'compact'", "-f", "json"))
    assert (run["status"], run["counts"]["clicks"]) == ("done", CLICKS)
    assert b"rows" in sixfold("batch", "run", "compact")


@pytest.mark.usefixtures("clicked")
def test_retain_and_vacuum_say_what_they_did(sixfold):
    sixfold("batch", "run", "archive")
    sixfold("batch", "run", "compact")
    assert rows_of(sixfold("batch", "run", "retain", "--json")) == []
    vacuumed = rows_of(sixfold("batch", "run", "vacuum", "--keep-hours", "1", "--json"))
    assert {row["topic"]: row["files"] for row in vacuumed}["clicks"] == 0
    assert b"topic" in sixfold("batch", "run", "retain")


@pytest.mark.usefixtures("clicked")
def test_sql_answers_the_same_before_and_after_archiving(sixfold):
    command = ("sql", "SELECT count(*) AS clicks FROM clicks", "--format", "json")
    assert rows_of(sixfold(*command)) == [{"clicks": CLICKS}]
    sixfold("batch", "run", "archive")
    assert rows_of(sixfold(*command)) == [{"clicks": CLICKS}]


@pytest.mark.usefixtures("clicked")
def test_sql_runs_a_query_by_its_name(sixfold):
    (row,) = rows_of(sixfold("sql", "links/top_links", "--json"))
    assert (row["link"], row["human_clicks"]) == ("abc", CLICKS)


@pytest.mark.usefixtures("clicked")
def test_sql_prints_a_table_unless_told_otherwise(sixfold):
    assert "abc" in sixfold("sql", "SELECT DISTINCT link FROM clicks").decode()
    assert sixfold("sql", "SELECT DISTINCT link FROM clicks", "-f", "csv") == b'"link"\n"abc"\n'


@pytest.mark.usefixtures("clicked")
def test_sql_writes_a_file(sixfold, tmp_path):
    file = tmp_path / "clicks.parquet"
    assert sixfold("sql", "FROM clicks", "-f", "parquet", "-o", str(file)) == b""
    assert pq.read_table(file)["link"].to_pylist() == ["abc"] * CLICKS


@pytest.mark.parametrize("arguments", [("sql",), ("sql", "--list")])
def test_sql_lists_the_queries_that_come_along(arguments, sixfold):
    printed = sixfold(*arguments).decode()
    assert all(query.name in printed for query in queries())


@pytest.mark.usefixtures("clicked")
@pytest.mark.parametrize(
    ("arguments", "error", "word"),
    [
        (("SELECT nothing FROM clicks",), QueryError, "nothing"),
        (("links/nothing",), UnknownQuery, "links/top_links"),
        (("SELECT 1", "-o", "rows"), SixfoldError, "--format"),
        (("SELECT 1", "-f", "csv", "-o", "/nowhere/rows.csv"), SixfoldError, "/nowhere/rows.csv"),
    ],
)
def test_sql_that_cannot_be_answered_says_why(arguments, error, word, sixfold):
    with refused(error, word):
        sixfold("sql", *arguments)


def test_there_is_nothing_to_query_without_a_data_directory(sixfold):
    with refused(NoHost, "sixfold up"):
        sixfold("sql", "SELECT 1")
