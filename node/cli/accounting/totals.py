"""What a sheet comes to, in lines."""

from typing import TYPE_CHECKING

from node.cli.explaining.words import utc
from schema.text.words import counted

if TYPE_CHECKING:
    from node.ops.accounting.sheet import SheetTotals


def lines_of(totals: "SheetTotals", *, what: str) -> list[str]:
    """Return the totals of a sheet in sentences.

    Parameters
    ----------
    what
        Whose studies they are, behind their number; "" for all.
    """
    left = totals.studies - totals.whole - totals.unwanted
    unwanted = f", {totals.unwanted} not wanted" if totals.unwanted else ""
    lines = [
        f"As of {utc(totals.as_of)}: {counted(totals.studies, 'study')}{what}, "
        f"{totals.whole} whole, {left} not{unwanted}.",
    ]
    if totals.states:
        by_state = ", ".join(f"{count} {state}" for state, count in sorted(totals.states.items()))
        lines.append(f"By state: {by_state}.")
    expected = f"{counted(totals.expected_images, 'image')} expected"
    if totals.unwanted:
        expected += f", {totals.expected_unwanted} of them not wanted"
    if totals.unknown:
        expected += f" (and nobody knows how many of {counted(totals.unknown, 'study')})"
    missing = f"{totals.missing_images} missing at least" if left else "none missing"
    if totals.missing_unknown:
        missing += f" (not known of {counted(totals.missing_unknown, 'study')})"
    lines.append(f"{expected}, {totals.here} here, {missing}.")
    if totals.here:
        of_them = "" if totals.retrieved == 1 else " of them"
        verified = f"{counted(totals.retrieved, 'study')} retrieved, {totals.verified}{of_them} "
        verified += "verified"
        if totals.verified:
            verified += f" ({counted(totals.verified_images, 'image')} read again, all sound)"
        if totals.verified_parts:
            verified += f"; what is here of {counted(totals.verified_parts, 'other')} verified"
        if totals.unsound_images:
            verified += f"; {counted(totals.unsound_images, 'file')} not sound"
        lines.append(f"{verified}.")
    if totals.refused:
        lines.append(
            f"Of {counted(totals.refused, 'study')} the last attempt was refused something: "
            "images failed, or presentation contexts were not accepted."
        )
    return lines
