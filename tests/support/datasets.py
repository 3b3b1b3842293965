"""Hypothesis strategies for datasets: well-formed ones with every VR, and values of any type."""

from typing import Any

from hypothesis import strategies as st
from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from schema.header.dicomjson import MAX_INLINE
from schema.header.vr import BINARY_WORD

texts = st.text(st.characters(codec="latin-1", categories=["L", "N"]), min_size=1, max_size=20)
finite32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
finite64 = st.floats(allow_nan=False, allow_infinity=False)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "AE": texts,
    "AS": st.from_regex(r"[0-9]{3}[DWMY]", fullmatch=True),
    "AT": st.integers(0, 2**32 - 1),
    "CS": texts,
    "DA": st.dates().map(lambda day: f"{day.year:04}{day.month:02}{day.day:02}"),
    "DS": st.integers(-(10**8), 10**8).map(lambda n: n / 100),
    "DT": st.datetimes().map(lambda when: f"{when.year:04}" + when.strftime("%m%d%H%M%S.%f")),
    "FD": finite64,
    "FL": finite32,
    "IS": st.integers(-(2**31), 2**31 - 1),
    "LO": texts,
    "LT": texts,
    "OB": st.binary(max_size=MAX_INLINE).map(lambda raw: raw + b"\1" * (len(raw) % 2)),
    "OW": st.binary(max_size=100).map(lambda raw: raw + raw),
    "PN": st.lists(texts, min_size=1, max_size=3).map("=".join),
    "SH": texts,
    "SL": st.integers(-(2**31), 2**31 - 1),
    "SS": st.integers(-(2**15), 2**15 - 1),
    "ST": texts,
    "SV": st.integers(-(2**63), 2**63 - 1),
    "TM": st.times().map(lambda clock: clock.strftime("%H%M%S.%f")),
    "UC": texts,
    "UI": st.from_regex(r"1(\.[1-9][0-9]{0,5}){1,8}", fullmatch=True),
    "UL": st.integers(0, 2**32 - 1),
    "UN": st.binary(max_size=100).map(lambda raw: raw + raw),
    "UR": texts,
    "US": st.integers(0, 2**16 - 1),
    "UT": texts,
    "UV": st.integers(0, 2**64 - 1),
}
SINGLE = frozenset(("LT", "OB", "OW", "ST", "UN", "UR", "UT"))


def elements_of(vr: str) -> st.SearchStrategy[tuple[str, Any]]:
    value = VALUES[vr]
    several = st.just(b"" if vr in BINARY_WORD else None) | value
    if vr not in SINGLE:
        several |= st.lists(value, min_size=2, max_size=4)
    return several.map(lambda chosen: (vr, chosen))


plain = st.sampled_from(sorted(VALUES)).flatmap(elements_of)
tags = st.integers(0x1001, 0xFFFF).map(lambda number: 0x00090000 + number)


def make_dataset(elements: dict[int, tuple[str, Any]]) -> Dataset:
    dataset = Dataset()
    for tag, (vr, value) in sorted(elements.items()):
        dataset.add(DataElement(tag, vr, value, validation_mode=config.IGNORE))
    return dataset


flat = st.dictionaries(tags, plain, max_size=8).map(make_dataset)
datasets = st.recursive(
    flat,
    lambda inner: st.builds(
        lambda dataset, tag, items: dataset.add_new(tag, "SQ", Sequence(items)) or dataset,
        flat,
        tags,
        st.lists(inner, max_size=3),
    ),
    max_leaves=12,
)
"""Datasets as pydicom would write them, with private elements of every VR and sequences."""

anything = st.text(alphabet=st.characters(exclude_categories=())) | st.binary() | st.integers()
anything |= st.floats() | st.none() | st.lists(st.text() | st.integers() | st.floats(), max_size=3)
"""What a program may assign to an element by mistake."""


def with_raw_value(dataset: Dataset, tag: int, vr: str, value: Any) -> Dataset:
    """Put a value past pydicom's checks into a dataset, as a program's mistake would."""
    placeholder = DataElement(tag, "OB", b"")
    placeholder.VR = vr
    placeholder._value = value
    dataset.add(placeholder)
    return dataset
