import subprocess
import sys

import pytest

from connectors.errors import HostLocked
from connectors.lock import FILE, HostLock

HOLD = """
import sys
from pathlib import Path
from connectors.lock import HostLock
with HostLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def held_elsewhere(directory):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, directory],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_host_is_told_who_the_first_one_is(tmp_path):
    with held_elsewhere(tmp_path) as process:
        with pytest.raises(HostLocked, match=rf"process {process.pid}\b"):
            HostLock(tmp_path).acquire()
        process.stdin.close()


def test_the_lock_is_free_again_when_its_process_is_killed(tmp_path):
    with held_elsewhere(tmp_path) as process:
        process.kill()
        process.wait()
        with HostLock(tmp_path):
            assert (tmp_path / FILE).read_text() != str(process.pid)


def test_a_lock_excludes_its_own_process_too_until_it_is_released(tmp_path):
    with HostLock(tmp_path), pytest.raises(HostLocked):
        HostLock(tmp_path).acquire()
    with HostLock(tmp_path):
        pass
