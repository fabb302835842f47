"""Privacy: a person is forgotten."""

from schemas.event import Data, event
from schemas.fields import Subject
from schemas.topic import Topic

PRIVACY = Topic("privacy", partitions=1)


@event("subject.erased", topic=PRIVACY, key="subject", internal=True, broadcast=True)
class SubjectErased(Data):
    """A subject was erased: drop what names it.

    Appended to `privacy`, and to every partition of every topic whose events, state or views name
    a subject, so that every fold meets it in the order of its own records.
    """

    subject: Subject
