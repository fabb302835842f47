"""Views on Apache Cassandra or ScyllaDB, beside a log on Kafka.

    a worker's commit → rows → tables of a generation, then Kafka's transaction, then `applied`
    a gateway's read  ← views ← the tables of the generation that is active

Only CQL that Cassandra 4 and ScyllaDB know as well is used.
"""
