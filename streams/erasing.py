"""Erasure in the log: every fold that may know of a subject is told, in the order of its records."""

from collections.abc import Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Any

from schemas.catalog import Catalog
from schemas.fields import Subject
from schemas.ids import derived_id
from schemas.privacy import SubjectErased
from streams.log import Entry, Log
from streams.sealing import Origin, Sealer


def topics_of_persons(catalog: Catalog) -> list[str]:
    """The topics that erasures go to: `privacy`, and all whose events can name a person.

    State and views have pseudonyms from events only, so a fold hears of an erasure by the topic
    that it has the pseudonym from.
    """
    return [
        topic
        for topic in catalog.topics
        if any(type_.data is SubjectErased for type_ in catalog.types_of(topic))
    ]


def erasures(
    sealer: Sealer, tenant: str, subjects: Sequence[Subject], now: datetime
) -> list[Entry]:
    """The records that tell all folds of erasures: of each subject one in every partition.

    Repeated within the same millisecond they have the same ids.
    """
    catalog = sealer.catalog
    origin = Origin(source="erasure", tenant=tenant, time=now)
    now_ms = int(now.timestamp() * 1000)
    return [
        sealer.entry(
            SubjectErased(subject), origin, derived_id(now_ms, tenant, subject, topic, partition)
        )._replace(topic=topic, partition=partition)
        for topic in topics_of_persons(catalog)
        for partition in range(catalog.topics[topic].partitions)
        for subject in subjects
    ]


def erase(
    log: Log, sealer: Sealer, tenant: str, subjects: Sequence[Subject], now: datetime
) -> "Future[Any]":
    """Tell all folds that subjects were erased, at once or not at all.

    Raises (from the future):
        LogUnavailable: nobody was told; try again.
    """
    return log.append(erasures(sealer, tenant, subjects, now))
