"""Coverage-guided fuzzing of the upper layer.

    python -m pip install atheris
    python -m tests.fuzz.fuzz_upperlayer -runs=10000000 FOLDER tests/fuzz/corpus

Options are libFuzzer's. FOLDER takes what it finds; the corpus beside this file are the seeds, byte
streams of DCMTK, Orthanc and pynetdicom (see `tests.fuzz.record`). An input that fails is left in
the working directory as `crash-…`; with its name as the only argument it is run again.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["node.upperlayer"]):
    from tests.fuzz.target import drive


def main() -> None:
    """Fuzz until an input fails or the runs are done."""
    options = ["-timeout=10", "-rss_limit_mb=512", "-max_len=4096", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, *sys.argv[1:]], drive)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
