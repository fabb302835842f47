"""Folding on Kafka: who may fold which partition, and what is durable of it.

    assigned → recovering → folding → revoked, lost or reset        ownership.py
    a commit ⇄ records of the changelog                              changelog.py

Both are without Kafka's client and without Faust: what they decide can be tried out in any order.
"""
