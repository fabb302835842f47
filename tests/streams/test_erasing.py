from datetime import UTC, datetime

import hits
import polls
from bench import NOW

import schemas.dead
import schemas.privacy
from schemas.catalog import Catalog
from schemas.event import Data, event, event_type_of
from schemas.fields import Mention, Subject
from schemas.privacy import SubjectErased
from schemas.topic import Topic
from streams.decode import decode
from streams.erasing import erase, erasures, topics_of_persons
from streams.memory import MemoryLog
from streams.rehearsal import OpenVault
from streams.sealing import Sealer

ANN, BOB = Subject("ann"), Subject("bob")


@event("party.held", topic=Topic("parties", partitions=2), key="party")
class PartyHeld(Data):
    """Some people met."""

    party: str
    guests: list[Mention]


PARTY = event_type_of(PartyHeld)
TYPES = [*Catalog.of(hits, polls, schemas.dead, schemas.privacy).types.values(), PARTY]
CATALOG = Catalog(TYPES)
SEALER = Sealer(CATALOG, OpenVault())


def test_erasures_go_to_every_topic_whose_events_can_name_a_person():
    assert sorted(topics_of_persons(CATALOG)) == ["parties", "polls", "privacy"]


def test_every_partition_is_told_of_every_subject_at_once():
    log = MemoryLog(CATALOG.topics.values())
    erase(log, SEALER, "acme", [ANN, BOB], NOW).result()
    partitions = {"privacy": 1, "polls": 4, "parties": 2}
    for topic, count in partitions.items():
        for partition in range(count):
            events = decode(CATALOG, log.read(topic, partition, 0, 10)).events
            assert [(e.data, e.tenant, e.time) for e in events] == [
                (SubjectErased(ANN), "acme", NOW),
                (SubjectErased(BOB), "acme", NOW),
            ]
    assert log.read("hits", 0, 0, 1) is None


def test_each_record_has_an_id_of_its_own_that_stays_the_same():
    def ids(now):
        entries = erasures(SEALER, "acme", [ANN, BOB], now)
        return [CATALOG.decoder(e.topic).one(e.value).id for e in entries]

    assert len(set(ids(NOW))) == 14
    assert ids(NOW) == ids(NOW)
    assert not set(ids(NOW)) & set(ids(datetime(2026, 1, 2, tzinfo=UTC)))
