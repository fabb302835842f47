import pytest

from schemas.errors import DeclarationError
from schemas.topic import Topic


@pytest.mark.parametrize("name", ["", "Polls", "1polls", "polls-x", "po lls", "_polls", "p" * 65])
def test_a_topics_name_is_lower_case_digits_and_underscores(name: str):
    with pytest.raises(DeclarationError, match="lower case"):
        Topic(name)


@pytest.mark.parametrize("partitions", [0, -1, 1025])
def test_a_topic_has_1_to_1024_partitions(partitions: int):
    with pytest.raises(DeclarationError, match="1 to 1024"):
        Topic("polls", partitions=partitions)


@pytest.mark.parametrize("days", [0, -1])
def test_a_retention_is_a_day_or_more(days: int):
    with pytest.raises(DeclarationError, match="at least 1 day"):
        Topic("polls", retention_days=days)


def test_record_keys_of_tenants_differ():
    polls = Topic("polls")
    assert polls.record_key("acme", "lunch") == b"acme/lunch"
    assert polls.record_key("acme", "lunch") != polls.record_key("globex", "lunch")
    # A tenant's name has no slash, so the first one is where the key begins.
    assert polls.record_key("acme", "a/b").split(b"/", 1) == [b"acme", b"a/b"]


def test_record_keys_of_a_global_topic_are_shared_by_tenants():
    links = Topic("links", global_keys=True)
    assert links.record_key("acme", "aZ3") == links.record_key("globex", "aZ3") == b"aZ3"
