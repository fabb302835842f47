"""Tables of our own beside those of views, and how any table is made.

generation  what each fold has built; every change of it is a compare-and-set
applied     per generation, topic and partition, the offset of the first record not applied yet
"""

from uuid import NAMESPACE_OID, uuid5

from connectors.store.cassandra.session import Session
from connectors.store.cassandra.settings import CassandraSettings

_TABLES = {
    "generation": "keyspace.generation (fold text, number int, last int static, active int static, "
    "version int, requested bigint, incarnation text, layouts map<text, text>, "
    "PRIMARY KEY (fold, number))",
    "applied": "keyspace.applied (fold text, number int, topic text, partition int, next bigint, "
    "PRIMARY KEY ((fold, number), topic, partition))",
}


def connect(settings: CassandraSettings) -> Session:
    """A session whose keyspace has the tables of our own.

    Raises:
        BadStoreSettings: user, password or TLS are not the cluster's.
        StoreUnavailable: it does not answer.
    """
    session = Session(settings)
    try:
        for name, columns in _TABLES.items():
            make_table(session, name, columns)
    except BaseException:
        session.close()
        raise
    return session


def make_table(session: Session, name: str, columns: str, options: str = "") -> None:
    """Make a table unless there is one.

    Processes that start together may make it at once, through different nodes: so that it is one
    table then and not two that argue, its id follows from its name.

    Raises:
        StoreUnavailable: it may have been made.
    """
    if name not in session.tables:
        id = uuid5(NAMESPACE_OID, f"sixfold/{session.keyspace}/{name}")
        also = f" AND {options}" if options else ""
        session.change(f"CREATE TABLE IF NOT EXISTS {columns} WITH id = {id}{also}")
