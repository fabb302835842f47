"""`python -m benchmarks NAME [--json]`."""

import argparse
import importlib
import json
import sys
import tempfile
from pathlib import Path

NAMES = ("log", "agents", "links", "cassandra")


def main() -> None:
    """Run one benchmark and print its figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--json", action="store_true", help="figures as one JSON object, last")
    parser.add_argument(
        "--directory", type=Path, default=Path(), help="where its files go; the disk to measure"
    )
    arguments = parser.parse_args()
    module = importlib.import_module(f"benchmarks.{arguments.name}")
    with tempfile.TemporaryDirectory(dir=arguments.directory, prefix="benchmark-") as directory:
        figures: dict[str, float] = module.run(Path(directory))
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        sys.stdout.write(f"{name:32} {value:>14,.3f}\n")


main()
