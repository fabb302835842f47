"""Logs on Kafka, each with topics of its own."""

import secrets
from collections.abc import Iterator
from contextlib import closing

import pytest

from connectors.engines.kafka import Kafka
from connectors.log.kafka.log import KafkaLog
from connectors.log.kafka.settings import KafkaSettings


def settings_for(kafka: Kafka, **others) -> KafkaSettings:
    """Of topics that nobody else has."""
    return KafkaSettings.of_url(kafka.url, prefix=f"{secrets.token_hex(4)}.", **others)


@pytest.fixture
def kafka_settings(kafka: Kafka) -> KafkaSettings:
    return settings_for(kafka)


@pytest.fixture
def kafka_log(kafka_settings: KafkaSettings) -> Iterator[KafkaLog]:
    with closing(KafkaLog(kafka_settings, "test")) as log:
        yield log
