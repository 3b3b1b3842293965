"""Measurements: `make bench` runs every `bench_*.py` as a program."""
