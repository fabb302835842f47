"""Each run of a job leaves a record, whatever comes of it."""

import json

import pytest

from batch import archive as archiving
from batch.errors import LakeError
from batch.runs import recorded
from schemas.batch import BATCH, BatchRan
from schemas.envelope import PLATFORM_TENANT
from sixfold.platform import Platform
from sixfold.wiring import CATALOG
from streams.decode import decode


def runs_in(settings):
    with Platform.open(settings) as platform:
        records = platform.log.read(BATCH.name, 0, 0, 100)
        return [] if records is None else decode(CATALOG, records).events


def test_a_run_says_what_it_did_and_how_long_it_took():
    records: list[BatchRan] = []
    with recorded("archive", records.append) as counts:
        counts["clicks"] = 7
    (ran,) = records
    assert (ran.job, ran.status, ran.counts, ran.error) == ("archive", "done", {"clicks": 7}, None)
    assert ran.duration_ms >= 0


def test_a_run_that_fails_leaves_a_record_without_values_and_fails():
    records: list[BatchRan] = []
    with pytest.raises(LakeError, match="ann@example"), recorded("archive", records.append) as some:
        some["clicks"] = 3
        raise LakeError("ann@example cannot be written")
    (ran,) = records
    assert (ran.status, ran.counts, ran.error) == ("failed", {"clicks": 3}, "LakeError")
    assert "ann@example" not in repr(ran)


def test_a_run_that_is_interrupted_leaves_a_record_too():
    records: list[BatchRan] = []
    with pytest.raises(KeyboardInterrupt), recorded("archive", records.append):
        raise KeyboardInterrupt
    assert [(ran.status, ran.error) for ran in records] == [("failed", "KeyboardInterrupt")]


def test_a_failure_is_not_hidden_by_a_log_that_is_down():
    def refuse(ran: BatchRan) -> None:
        raise OSError("the disk is full")

    with pytest.raises(LakeError) as raised, recorded("archive", refuse):
        raise LakeError("no")
    assert raised.value.__notes__ == ["nor could a record of the run be left: the disk is full"]


def test_a_run_that_could_not_be_recorded_has_failed():
    def refuse(ran: BatchRan) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk is full"), recorded("archive", refuse):
        pass


@pytest.mark.usefixtures("clicked")
def test_archive_leaves_a_record_of_each_run(sixfold, settings):
    sixfold("batch", "run", "archive")
    (event,) = runs_in(settings)
    assert (event.tenant, event.source) == (PLATFORM_TENANT, "sixfold/batch")
    assert (event.data.job, event.data.status) == ("archive", "done")
    assert event.data.counts == {"clicks": 5}
    sixfold("batch", "run", "archive")
    # The second one found nothing new but the record of the first.
    assert [event.data.counts for event in runs_in(settings)] == [{"clicks": 5}, {"batch": 1}]


@pytest.mark.usefixtures("clicked")
def test_runs_can_be_queried_before_and_after_they_are_archived(sixfold):
    query = ("sql", "SELECT job, status, counts['clicks'] AS n FROM batch ORDER BY time", "-f")
    sixfold("batch", "run", "archive")
    first = {"job": "archive", "status": "done", "n": 5}
    assert json.loads(sixfold(*query, "json")) == first
    sixfold("batch", "run", "archive")
    rows = [json.loads(line) for line in sixfold(*query, "json").splitlines()]
    assert rows == [first, first | {"n": None}]


@pytest.mark.usefixtures("clicked")
def test_an_archive_that_fails_leaves_a_record(sixfold, settings, monkeypatch):
    def full(*args, **kwargs):
        raise LakeError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(archiving.RowMaker, "make", full)
        with pytest.raises(LakeError):
            sixfold("batch", "run", "archive")
    (event,) = runs_in(settings)
    assert (event.data.status, event.data.error) == ("failed", "LakeError")
