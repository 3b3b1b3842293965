"""What `schema` exports: each name is there, is described, and costs nothing before it is used."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import schema

ROOT = Path(__file__).parents[2]
HEAVY = {"alembic", "pydicom", "numpy", "pandas", "pyarrow", "psycopg", "asyncpg", "aiosqlite"}


def for_type_checkers() -> dict[str, str]:
    """Return the names that a type checker sees, and the modules that it takes them from."""
    tree = ast.parse(Path(schema.__file__).read_text(encoding="utf-8"))
    guarded = (node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.asname: str(node.module)
        for block in guarded
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }


def loaded(*statements: str) -> list[set[str]]:
    """Return which of the heavy libraries a fresh interpreter has loaded after each of these."""
    said = f"print(*({HEAVY!r} & sys.modules.keys()))"
    program = "; ".join(["import sys", *(f"{statement}; {said}" for statement in statements)])
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [set(line.split()) for line in result.stdout.splitlines()]


def test_a_type_checker_sees_what_is_exported_and_where_it_is():
    seen = for_type_checkers()
    assert seen == {name: module for module, names in schema._EXPORTS.items() for name in names}, (
        "the imports for type checkers and _EXPORTS in schema/__init__.py differ"
    )
    for name, module in seen.items():
        assert getattr(schema, name) is getattr(import_module(module), name)


def test_every_exported_name_is_described_and_no_other():
    text = (ROOT / "docs" / "schema.md").read_text(encoding="utf-8")
    section = text.partition("\n## What schema exports\n")[2].partition("\n## ")[0]
    described = dict(re.findall(r"^\| `([^`]+)` \| (.+?) \|", section, re.MULTILINE))
    for name in schema.__all__:
        assert name in described, f"docs/schema.md, What schema exports: no row for {name}"
    for name in described:
        assert name in schema.__all__, f"docs/schema.md describes {name}, which is not exported"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'nothing'"):
        _ = schema.nothing
    assert set(schema.__all__) <= set(dir(schema))


LIGHT = (
    "import schema",
    "from schema import Database; Database",
    "from schema import Image, Study, StudyFind, Quarantined, Project, summary, list_projects",
    "from schema import get_studies_to_move, count_images, study_metadata, SyncDatabase",
)
GUIDES = (
    "schema.crud.add_image; schema.database.dump_database",
    "schema.dcm2model.dcm2image; schema.parser.parse_dir2sql; schema.errors",
)


@pytest.fixture(scope="module")
def after_each():
    return loaded(*LIGHT, *GUIDES)


def test_a_name_loads_nothing_that_it_does_not_need(after_each):
    assert after_each[: len(LIGHT)] == [set()] * len(LIGHT)


def test_the_modules_of_the_guides_come_with_the_package(after_each):
    assert len(after_each) == len(LIGHT) + len(GUIDES), "the interpreter has not failed"


def test_whether_a_database_is_up_to_date_is_asked_without_alembic(tmp_path):
    question = f"await Database('sqlite:///{tmp_path}/node.db').current()"
    statement = f"""from schema import Database; import asyncio
async def ask(): {question}
asyncio.run(ask())"""
    assert loaded(f"exec({statement!r})") == [{"aiosqlite"}]
