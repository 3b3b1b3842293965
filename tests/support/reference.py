"""What the header of a file should be, from pydicom's `Dataset.to_json_dict`.

The two differ where DICOM JSON asks for something else than pydicom writes, or where bulk data is
left out. `expected_of` makes these differences, no others, and names the reason of each.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from schema.header.bulk import PIXEL_DATA
from schema.header.dicomjson import MAX_INLINE

GROUP_LENGTH = "group lengths are no part of the model (PS3.18 F.2.2)"
BULK_DATA = f"binary values above {MAX_INLINE} bytes, overlays and waveforms are bulk data (F.2.6)"
EMPTY_VALUE = "an empty value among several is null (F.2.5)"
PADDING = "trailing spaces of each value are padding (PS3.5 6.2)"
EMPTY_GROUP = "only the component groups that are not empty are named (F.2.2)"
NO_VALUE = "an attribute without a value has no Value (F.2.5)"

_SHORT_BULK = ("54001010", "60003000")


def expected_of(
    reference: dict[str, Any], differences: Counter[tuple[str, str]] | None = None
) -> dict[str, Any]:
    """Return pydicom's JSON with the differences that there should be.

    Parameters
    ----------
    reference
        The result of `to_json_dict`, gone through JSON.
    differences
        Counts what was changed, by reason and tag.
    """
    seen: Counter[tuple[str, str]] = Counter() if differences is None else differences
    result = {}
    for key, attribute in reference.items():
        if key.endswith("0000"):
            seen[GROUP_LENGTH, key] += 1
            continue
        result[key] = expected = dict(attribute)
        if attribute["vr"] == "SQ":
            expected["Value"] = [expected_of(item, seen) for item in attribute.get("Value", [])]
        elif "InlineBinary" in attribute:
            if _is_bulk(key, attribute["InlineBinary"]):
                seen[BULK_DATA, key] += 1
                del expected["InlineBinary"]
        elif "Value" in attribute:
            expected["Value"] = [_value(value, key, seen) for value in attribute["Value"]]
        if expected.get("Value") == []:
            seen[NO_VALUE, key] += 1
            del expected["Value"]
    return result


def _is_bulk(key: str, inline: str) -> bool:
    return key in PIXEL_DATA or key in _SHORT_BULK or len(inline) * 3 // 4 - 2 > MAX_INLINE


def _value(value: Any, key: str, seen: Counter[tuple[str, str]]) -> Any:
    if isinstance(value, str):
        plain = value.rstrip(" ")
        if not plain:
            seen[EMPTY_VALUE, key] += 1
        elif plain != value:
            seen[PADDING, key] += 1
        return plain or None
    if isinstance(value, dict):
        groups = {name: group for name, group in value.items() if group}
        if groups != value:
            seen[EMPTY_GROUP, key] += 1
        return groups or None
    return value
