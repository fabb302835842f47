"""The log on Apache Kafka.

    append → writer → one transaction after another → the future has positions
    read   ← window ← fetcher (a consumer and its thread; several read in several places)

Each append is part of a transaction, since the port promises that all of its entries or none are
appended, and that after a failure none was; what comes in while one transaction is on its way goes
into the next. So offsets have gaps, at the markers that end transactions, and everything is read
committed.
"""
