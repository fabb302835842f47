"""The spills of several gateways in one directory."""

from contextlib import ExitStack, closing, contextmanager

import pytest
from spill_child import CATALOG, entry
from test_spill import MemoryLog, eventually, pages

from connectors.log.spill import open_spills


@contextmanager
def gateway(log, directory):
    """The name of a gateway's spill, and its spills."""
    with ExitStack() as opened:
        name, spills = open_spills(log, CATALOG, directory)
        for spill in spills:
            opened.enter_context(closing(spill))
        yield name, spills


@pytest.fixture
def log():
    return MemoryLog()


def leave(log, directory, *names):
    """As many gateways spill an event each at the same time, and die."""
    log.down = True
    with ExitStack() as opened:
        for name in names:
            _, spills = opened.enter_context(gateway(log, directory))
            spills[0].append([entry(name)]).result(timeout=10)
    log.down = False


def test_each_gateway_has_a_spill_of_its_own(log, tmp_path):
    with gateway(log, tmp_path / "spill") as one, gateway(log, tmp_path / "spill") as other:
        assert (one[0], other[0]) == ("gateway-1", "gateway-2")
        assert len(one[1]) == len(other[1]) == 1


def test_one_gateway_drains_what_several_have_left(log, tmp_path):
    leave(log, tmp_path, "a", "b", "c")
    with gateway(log, tmp_path) as (name, spills):
        assert name == "gateway-1"
        assert len(spills) == 3
        eventually(lambda: len(log.entries) == 3)
    assert sorted(pages(log.entries)) == ["a", "b", "c"]
    with gateway(log, tmp_path) as (_, spills):
        assert len(spills) == 1


def test_what_another_gateway_has_is_left_to_it(log, tmp_path):
    with gateway(log, tmp_path), gateway(log, tmp_path) as (_, others):
        log.down = True
        others[0].append([entry("theirs")]).result(timeout=10)
        with gateway(log, tmp_path) as (name, spills):
            assert name == "gateway-3"
            assert len(spills) == 1
        log.down = False
        eventually(lambda: pages(log.entries) == ["theirs"])


def test_other_files_in_the_directory_are_nobodys(log, tmp_path):
    (tmp_path / "notes.txt").write_text("not a spill, though long enough to be one")
    with gateway(log, tmp_path) as (_, spills):
        assert len(spills) == 1
