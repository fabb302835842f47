"""reminder.* events → what is done. State: what is still to come."""

from datetime import datetime

from reminders import Reminder, ReminderFired, ReminderSet

from schemas.fields import Subject
from streams.batch import Batch
from streams.effects import Due, Effects
from streams.state import Table, Tables


class State(Tables):
    pending: Table[str, tuple[datetime, Subject]]
    fired: Table[str, int]


def fold(batch: Batch[ReminderSet | ReminderFired], state: State, out: Effects) -> None:
    for event in batch:
        match event.data:
            case ReminderSet() as wanted:
                state.pending[wanted.reminder] = wanted.at, wanted.who
            case ReminderFired() as fired:
                state.pending.pop(fired.reminder)
                state.fired[fired.reminder] = n = state.fired.get(fired.reminder, 0) + 1
                out.put(Reminder(fired.reminder, n))


def erase(subject: Subject, state: State, out: Effects) -> None:
    state.pending.pop_subject(subject)


def tick(now: datetime, state: State, out: Due) -> None:
    for tenant, reminder, (at, _) in state.pending.items():
        if at <= now:
            out.emit(ReminderFired(reminder), tenant, at)
