import json

import pytest
from lake_events import refused

from batch.describing import columns, tables
from batch.engine import Engine
from batch.errors import UnknownTable
from batch.lake import Lake
from sixfold.wiring import CATALOG


@pytest.fixture
def platform(tmp_path):
    return Lake(tmp_path / "platform", CATALOG)


def test_every_table_and_view_says_what_it_has(platform):
    told = dict(tables(platform))
    assert set(platform.topics) | {"events", "counted_clicks"} == set(told)
    assert "link.clicked: A short link was followed." in told["clicks"]
    assert all(what.endswith(".") for what in told.values())


def test_every_column_says_what_it_is(platform):
    for name, _ in tables(platform):
        assert all(column.type and column.what for column in columns(platform, name))


def test_columns_have_the_types_that_queries_see(platform):
    told = {column.name: column for column in columns(platform, "links")}
    assert (told["tags"].type, told["time"].type) == ("VARCHAR[]", "TIMESTAMP WITH TIME ZONE")
    assert "link.requested" in told["max_clicks"].what
    assert told["tenant"].what == "whose customer's data this is"
    assert "target" not in told
    assert not platform.directory.exists()


def test_columns_are_those_of_the_table_itself(platform, log):
    log.create(CATALOG.topics.values())
    for name in ("clicks", "events", "counted_clicks"):
        with Engine(platform, log) as engine:
            names = engine.sql(f"FROM {name}").read_all().schema.names
        assert sorted(names) == sorted(column.name for column in columns(platform, name))


def test_a_table_that_is_not_there_is_an_error_that_lists_those_that_are(platform):
    with refused(UnknownTable, "nothing", "counted_clicks", "clicks"):
        columns(platform, "nothing")


def test_sql_describes(sixfold):
    printed = sixfold("sql", "--describe").decode()
    assert "counted_clicks" in printed
    assert "A short link was followed." in printed
    assert "ordinal" in sixfold("sql", "--describe", "clicks").decode()
    (first, *_) = sixfold("sql", "--describe", "clicks", "--format", "json").splitlines()
    assert json.loads(first)["name"] == "partition"
