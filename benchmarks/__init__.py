"""Benchmarks: `python -m benchmarks NAME [--json]`. They are not installed.

Each compares with a limit or a peer that is measured in the same run, because machines are noisy:
trust the ratios. The last line of `--json` is one object of flat figures.
"""
