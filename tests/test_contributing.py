"""The system that CONTRIBUTING.md shows is a whole one: it runs, and its tests pass."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"```python\n# (?P<path>\S+)\n(?P<code>.*?)```", re.DOTALL)


def test_the_system_that_contributing_shows_runs(tmp_path: Path) -> None:
    blocks = {m["path"]: m["code"] for m in BLOCK.finditer((ROOT / "CONTRIBUTING.md").read_text())}
    assert {Path(path).parent.parts[0] for path in blocks} == {"schemas", "streams", "tests"}
    for room in ("schemas", "streams"):
        (tmp_path / room).mkdir()
        for entry in (ROOT / room).iterdir():
            if entry.name != "__pycache__":
                (tmp_path / room / entry.name).symlink_to(entry)
    for path, code in blocks.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code)
    tests = next(path for path in blocks if path.startswith("tests/"))
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", tests],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "2 passed" in ran.stdout
