"""Engines: Apache Kafka and Apache Cassandra as processes of this machine, without containers.

For tests, and for trying things out; production has clusters of its own.
"""
