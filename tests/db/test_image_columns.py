"""An attribute of the header is a column in every place, or a sentence says which was forgotten."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest
from sqlalchemy import inspect

from schema import Image, ImageRecord, Patient, Series, Study
from schema.record import HEADER_VALUES

DOCUMENT = Path(__file__).parents[2] / "docs" / "schema.md"

OF_THE_DATABASE = {"id", "series_id", "parsed_from", "flag", "revision"}
"""Columns of an image that no header and no file has: its row tells what became of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The places in which a promoted attribute is named.

    `sources` are the fields of a record that come from the header, with their keywords, and
    `given` its other fields; `columns` those of the model; `synonyms` its columns by keyword;
    `elsewhere` the columns of patients, studies and series; `migrated` the columns that the
    migrations make; `documented` those that docs/schema.md describes.
    """

    sources: Mapping[str, str]
    given: Collection[str]
    columns: Collection[str]
    elsewhere: Collection[str]
    synonyms: Mapping[str, str]
    migrated: Collection[str]
    documented: Collection[str]

    def forgotten(self) -> list[str]:
        """Return a sentence for each place in which something is missing."""
        found = []
        for name in self.columns:
            if name not in {*self.sources, *self.given, *OF_THE_DATABASE}:
                found.append(
                    f"nothing says where images.{name} comes from:"
                    " add a field to ImageRecord in schema/record.py"
                )
            if name not in self.migrated:
                found.append(f"no migration makes images.{name}: add one to migrations/versions")
            if name not in self.documented:
                found.append(f"images.{name} is not described: add a row to docs/schema.md, images")
        for name, keyword in self.sources.items():
            if name not in {*self.columns, *self.elsewhere}:
                found.append(
                    f"{keyword} is read, and kept nowhere: add a column {name} to Image"
                    " in schema/tables/models.py"
                )
            elif name in self.columns and self.synonyms.get(keyword) != name:
                found.append(
                    f"Image.{keyword} is not Image.{name}:"
                    " add a synonym to Image in schema/tables/models.py"
                )
        return found


@pytest.fixture
async def places(db):
    """Return the places as they are."""
    async with db.engine.connect() as connection:
        made = await connection.run_sync(lambda sync: inspect(sync).get_columns("images"))
    section = re.search(r"^## images$(.*?)(?=^## )", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    assert section
    mapper = inspect(Image)
    return Places(
        sources={name: one.keyword for name, one in HEADER_VALUES.items()},
        given=[one.name for one in fields(ImageRecord) if one.name not in HEADER_VALUES],
        columns=[column.name for column in mapper.columns],
        elsewhere=[column.name for one in (Patient, Study, Series) for column in inspect(one).c],
        synonyms={name: one.name for name, one in mapper.synonyms.items()},
        migrated=[column["name"] for column in made],
        documented=re.findall(r"^\| `([a-z_0-9]+)` \|", section[1], re.MULTILINE),
    )


async def test_no_place_of_an_attribute_is_forgotten(places):
    assert places.forgotten() == []


def with_an_attribute(places: Places) -> Places:
    """Return the places with one more attribute in all of them, which nobody will ever add."""
    name, keyword = "made_up_number", "MadeUpNumber"
    return replace(
        places,
        sources={**places.sources, name: keyword},
        columns=[*places.columns, name],
        synonyms={**places.synonyms, keyword: name},
        migrated=[*places.migrated, name],
        documented=[*places.documented, name],
    )


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("sources", "nothing says where images.made_up_number comes from"),
        ("columns", "MadeUpNumber is read, and kept nowhere"),
        ("synonyms", "Image.MadeUpNumber is not Image.made_up_number"),
        ("migrated", "no migration makes images.made_up_number"),
        ("documented", "images.made_up_number is not described"),
    ],
)
async def test_a_place_that_is_forgotten_is_named(places, place, sentence):
    complete = with_an_attribute(places)
    assert complete.forgotten() == []
    (said,) = replace(complete, **{place: getattr(places, place)}).forgotten()
    assert sentence in said
