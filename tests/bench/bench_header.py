"""Measures reading a header against pydicom: `python -m tests.bench.bench_header`.

Both ways start from the bytes of a file and end with JSON text: ours with `read_header`,
pydicom's with `dcmread`, `Dataset.to_json_dict` and `json.dumps`. They take turns, so that
whatever else the machine does hits both; the median of the rounds counts. The results are
compared as parsed JSON: they have to be equal but for the differences that are printed, each
with its reason.
"""

import argparse
import json
import statistics
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

from pydicom import dcmread
from pydicom.data import get_testdata_file

from schema.header.dicomjson import read_header
from tests.support.reference import expected_of

FILES = {"CT_small.dcm": 4.0, "MR_small.dcm": 3.0}
"""The files, and how many times faster than pydicom we have to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one file took, in milliseconds per header."""

    name: str
    elements: int
    ours: float
    theirs: float
    wanted: float

    @property
    def ratio(self) -> float:
        return self.theirs / self.ours


def by_pydicom(data: bytes) -> bytes:
    dataset = dcmread(BytesIO(data), stop_before_pixels=True)
    return json.dumps(dataset.to_json_dict()).encode()


def by_us(data: bytes) -> bytes:
    return read_header(data).meta_json


def milliseconds(function: Callable[[bytes], bytes], data: bytes, repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        function(data)
    return (time.perf_counter() - start) / repeats * 1e3


def measure(name: str, *, rounds: int = 15, repeats: int = 10) -> Measurement:
    data = _bytes_of(name)
    by_us(data), by_pydicom(data)  # what is looked up once does not count
    ours, theirs = [], []
    for _ in range(rounds):
        theirs.append(milliseconds(by_pydicom, data, repeats))
        ours.append(milliseconds(by_us, data, repeats))
    return Measurement(
        name=name,
        elements=len(read_header(data).attributes),
        ours=statistics.median(ours),
        theirs=statistics.median(theirs),
        wanted=FILES[name],
    )


def compare(name: str) -> tuple[bool, list[str]]:
    """Tell whether both ways give the same but for justified differences, and list those."""
    data = _bytes_of(name)
    differences: Counter[tuple[str, str]] = Counter()
    expected = expected_of(json.loads(by_pydicom(data)), differences)
    lines = [
        f"({key[:4]},{key[4:]}) {count} time{'s' if count > 1 else ''}: {reason}"
        for (reason, key), count in sorted(differences.items())
    ]
    return json.loads(by_us(data)) == expected, lines


def _bytes_of(name: str) -> bytes:
    path = get_testdata_file(name, download=False)
    if not isinstance(path, str):
        sys.exit(f"pydicom does not ship {name}")
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read()


def main() -> int:
    parser = argparse.ArgumentParser(description="header extraction against pydicom")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--repeats", type=int, default=10)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(
        f"{'file':14} {'elements':>8} {'ours ms':>9} {'pydicom ms':>11} {'faster':>7} {'wanted':>7}"
    )
    slow = False
    for name in FILES:
        result = measure(name, rounds=options.rounds, repeats=options.repeats)
        slow = slow or result.ratio < result.wanted
        print(
            f"{result.name:14} {result.elements:>8} {result.ours:>9.3f} {result.theirs:>11.3f}"
            f" {result.ratio:>6.1f}x {result.wanted:>6.1f}x"
        )
    print()
    print("compared as parsed JSON:")
    unequal = False
    for name in FILES:
        equal, lines = compare(name)
        unequal = unequal or not equal
        verdict = "DIFFERENT" if not equal else "the same but for" if lines else "the same"
        print(f"{name:14} {verdict}")
        for line in lines:
            print(f"{'':14}   {line}")
    return 1 if slow or unequal else 0


if __name__ == "__main__":
    sys.exit(main())
