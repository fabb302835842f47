"""Reminders: something is due at a time, and then it is done."""

from datetime import datetime

from schemas.event import Data, event
from schemas.fields import Personal, Subject
from schemas.topic import Topic
from streams.views import Partition, View

REMINDERS = Topic("reminders", partitions=1, deduplicated=True)


@event("reminder.set", topic=REMINDERS, key="reminder")
class ReminderSet(Data):
    """Somebody wants to be reminded."""

    reminder: str
    who: Subject
    at: datetime
    text: Personal[str] | None = None


@event("reminder.fired", topic=REMINDERS, key="reminder", internal=True)
class ReminderFired(Data):
    """A reminder fell due."""

    reminder: str


class Reminder(View):
    reminder: Partition[str]
    fired: int
