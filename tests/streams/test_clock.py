"""The clock of the machine is set an hour ahead, and back again, while folds are at work."""

from datetime import datetime, timedelta

import pytest
import reminders_fold
from bench import NOW, Bench
from reminders import Reminder, ReminderFired, ReminderSet
from test_agent import REMINDERS, World, fired, run

from schemas.fields import Subject
from streams.duplicates import KEPT_MS
from streams.fold import Fold

HOUR = timedelta(hours=1)
STEPS = (NOW, NOW + HOUR, NOW, NOW - HOUR, NOW, NOW + HOUR)


def remind(reminder: str, at: datetime) -> ReminderSet:
    return ReminderSet(reminder, Subject("ann"), at)


class Clocked(Bench):
    """A fold of reminders, and a clock that can be set."""

    def __init__(self) -> None:
        super().__init__(Fold.of(reminders_fold))
        self.set(NOW)

    def set(self, now: datetime) -> None:
        self.now = now
        self.log.now_ms = int(now.timestamp() * 1000)

    def tick(self) -> None:
        self.runner.tick(self.now)
        self.commit_if_any()

    def fold_new(self) -> None:
        position = self.runner.offsets.get("reminders", 0)
        if self.log.bounds("reminders", 0)[1] > position:
            self.runner.process(self.batch(position))
            self.commit_if_any()

    def commit_if_any(self) -> None:
        commit = self.runner.take()
        if commit is not None:
            self.store.commit([commit]).result()
            self.runner.settle()

    def fired(self, reminder: str) -> list[datetime]:
        """When it fell due, once for each record that says so."""
        events = self.batch().events
        return [
            e.time
            for e in events
            if isinstance(e.data, ReminderFired)
            if e.data.reminder == reminder
        ]

    def times_done(self, reminder: str) -> int:
        row = self.store.row(Reminder, "acme", (reminder,))
        return 0 if row is None else row.fired


@pytest.fixture
def clocked() -> Clocked:
    return Clocked()


def test_whatever_the_clock_does_what_is_due_is_done_once_and_when_it_was_due(
    clocked: Clocked,
) -> None:
    due = {"tea": NOW + HOUR / 2, "cake": NOW + HOUR}
    clocked.append(*[clocked.entry(remind(*one)) for one in due.items()])
    for now in STEPS:
        clocked.set(now)
        clocked.fold_new()
        clocked.tick()
    clocked.fold_new()
    assert [clocked.fired(reminder) for reminder in due] == [[at] for at in due.values()]
    assert [clocked.times_done(reminder) for reminder in due] == [1, 1]


def test_what_falls_due_again_because_the_clock_went_back_meanwhile_is_done_once(
    clocked: Clocked,
) -> None:
    clocked.append(clocked.entry(remind("tea", NOW + HOUR / 2)))
    clocked.fold_new()
    for now in (NOW + HOUR, NOW, NOW + HOUR):  # and nothing is folded in between
        clocked.set(now)
        clocked.tick()
    assert clocked.fired("tea") == [NOW + HOUR / 2] * 2
    clocked.fold_new()
    assert clocked.times_done("tea") == 1
    assert clocked.letters() == []


def test_after_the_clock_went_back_nothing_is_done_early_and_nothing_is_missed(
    clocked: Clocked,
) -> None:
    clocked.set(NOW + HOUR)
    clocked.append(clocked.entry(remind("late", NOW + 2 * HOUR)))
    clocked.fold_new()
    clocked.tick()
    clocked.set(NOW)
    clocked.append(clocked.entry(remind("soon", NOW + HOUR / 4)))
    clocked.fold_new()
    clocked.tick()
    assert clocked.fired("soon") == []
    for reminder, at in (("soon", NOW + HOUR / 4), ("late", NOW + 2 * HOUR)):
        clocked.set(at)
        clocked.tick()
        assert clocked.fired(reminder) == [at]


@pytest.mark.parametrize("step", [-HOUR, HOUR], ids=["back", "ahead"])
def test_an_event_that_comes_again_after_a_step_is_known(clocked: Clocked, step: timedelta) -> None:
    event = clocked.entry(remind("tea", NOW - HOUR))
    end = NOW + timedelta(milliseconds=KEPT_MS) - 2 * HOUR
    for now in (NOW, NOW + step, NOW, end + step, end):
        clocked.set(now)
        clocked.append(event)
        clocked.fold_new()
        clocked.tick()
        clocked.fold_new()
    assert clocked.times_done("tea") == 1


def test_an_agent_that_catches_up_takes_the_time_of_what_it_has_folded_be_it_earlier() -> None:
    world = World(REMINDERS)

    async def work() -> None:
        world.log.now_ms = int((NOW + HOUR).timestamp() * 1000)
        world.append(remind("x", NOW + 2 * HOUR))
        world.log.now_ms = int(NOW.timestamp() * 1000)
        world.append(remind("tea", NOW + HOUR / 2))
        await world.fold_new()
        world.append(remind("cake", NOW + HOUR / 2))  # not folded yet
        world.agent.tick(NOW + HOUR, world.log)

    run(world, work)
    assert fired(world) == []
