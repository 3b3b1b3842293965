"""The table of docs/conformance.md: `python -m tests.differential.documented` writes it."""

from __future__ import annotations

from tests.differential.known import KNOWN

HEAD = ("The node", "Orthanc 1.10.1", "What decides")


def documented() -> str:
    """Return the table, as Markdown."""
    rows = [HEAD, ("---",) * len(HEAD)]
    rows += [(known.node, known.orthanc, _of(known.clause)) for known in KNOWN]
    return "\n".join(
        f"| {' | '.join(row)} |".replace("| --- ", "|---").replace("---| ", "---|") for row in rows
    )


def _of(clause: str) -> str:
    return clause if clause.startswith("PS3") else f"PS3.4 {clause}"


if __name__ == "__main__":
    print(documented())
