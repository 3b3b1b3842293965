"""The long programme: `python -m tests.campaign --studies 5000 --nodes 4 --kills 50 --servers 5`.

`dicom-node simulate` has so many studies, and misbehaves: a twentieth fails twice, a fiftieth comes
in parts, and it falls silent, aborts and goes down. Nodes on one PostgreSQL move them all; they are
killed (SIGKILL) and started again, and so is PostgreSQL. At the end each image is in the index and
in its file with its digest, and no other; each study was asked for again only where the attempt
before had not brought it or its node had died; no two nodes were ever at one study; and the PACS
never had more associations than are configured.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tests.campaign.programme import Campaign


def main() -> None:
    """Run, and say what was done."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--studies", type=int, default=5000, help="at the PACS")
    parser.add_argument("--nodes", type=int, default=4, help="processes that move them")
    parser.add_argument("--kills", type=int, default=50, help="of nodes, in all")
    parser.add_argument("--servers", type=int, default=5, help="kills of PostgreSQL, in all")
    parser.add_argument("--limit", type=float, default=7200, help="seconds")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the moments")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="dicom-node-campaign-") as folder,
        Campaign(
            Path(folder), studies=options.studies, nodes=options.nodes, seed=options.seed
        ) as campaign,
    ):
        campaign.run(kills=options.kills, server_kills=options.servers, limit=options.limit)
        print(campaign.reckon())


if __name__ == "__main__":
    main()
