"""PixelMed: the clients of its toolkit that can be called, run to their end.

Its client for C-GET cannot: it wants to propose more presentation contexts than an association can
have, and stops before it calls anybody.
"""

from __future__ import annotations

from pathlib import Path

from tests.support.peers.programs import Finished, require_package, run_program

_TOOLKIT = Path("/usr/share/java/pixelmed.jar")

# What its client for C-FIND asks for at level IMAGE: it has no arguments for keys.
STUDY = "1.2.840.113619.2.5.1762386977.1328.985934491.590"
SERIES = "1.2.840.113619.2.5.1762386977.1328.985934491.643"


def scu(
    service: str, port: int, *arguments: str | Path, called: str, calling: str = "PIXELMED"
) -> Finished:
    """Call a peer as the client for a service: `Verification`, `Find`, `Move` or `Storage`."""
    java = require_package("libpixelmed-java default-jre-headless", "java", _TOOLKIT)
    return run_program(
        java,
        *("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Djava.awt.headless=true"),
        *("-cp", _TOOLKIT, f"com.pixelmed.network.{service}SOPClassSCU"),
        *("localhost", str(port), called, calling, *arguments),
    )
