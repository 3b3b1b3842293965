"""The house's own rules: rooms of a size that can be read, and one name for one thing."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("node", "schema")

MODULES_IN_A_FOLDER = 14
LINES_IN_A_MODULE = 350
MEDIAN_LINES = 150


def modules() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_a_folder_has_no_more_rooms_than_one_look_takes_in():
    rooms: dict[str, int] = defaultdict(int)
    for path in modules():
        if path.name != "__init__.py":
            rooms[name_of(path.parent)] += 1
    assert len(rooms) > 10
    crowded = {folder: count for folder, count in rooms.items() if count > MODULES_IN_A_FOLDER}
    assert crowded == {}, f"give them wings: {crowded}"


def test_a_module_holds_one_concept_and_most_are_short():
    lines = {name_of(path): lines_of(path) for path in modules() if path.name != "__init__.py"}
    long = {name: count for name, count in lines.items() if count > LINES_IN_A_MODULE}
    assert long == {}, f"split them by what they are about: {long}"
    assert median(lines.values()) < MEDIAN_LINES


def test_every_folder_says_what_is_in_it():
    for path in modules():
        folder = path.parent / "__init__.py"
        assert folder.exists(), f"{name_of(path.parent)} has no __init__.py"
        told = ast.get_docstring(ast.parse(folder.read_text(encoding="utf-8")))
        assert told, f"{name_of(folder)} does not say what is in the folder"


def test_a_public_class_has_a_name_of_its_own():
    places: dict[str, list[str]] = defaultdict(list)
    for path in modules():
        for found in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(found, ast.ClassDef) and not found.name.startswith("_"):
                places[found.name].append(name_of(path))
    assert len(places) > 100
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert twice == {}, f"one name, one thing: {twice}"


NAMED = re.compile(r"`((?:node|schema|migrations|tests|docs|conf|scripts)(?:/[\w.]+)*/?)`")
PICTURED = re.compile(r"(?<![\w/])((?:net|ops|storage|dicom|upperlayer)/[\w/]+)")


@pytest.mark.parametrize("document", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_every_room_that_the_architecture_names_is_there(document):
    named = set(NAMED.findall((ROOT / document).read_text(encoding="utf-8")))
    assert named
    missing = sorted(name for name in named if not (ROOT / name).exists())
    assert missing == [], f"{document} names what is not there: {missing}"


def test_the_architecture_names_every_wing():
    named = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    wings = {name_of(path.parent) for path in modules() if len(path.parent.parts) > len(ROOT.parts)}
    missing = sorted(wing for wing in wings if Path(wing).name not in named)
    assert missing == [], f"docs/architecture.md does not mention {missing}"


def test_every_room_of_the_readme_s_picture_is_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (picture,) = re.findall(r"^## Four ways.*?```text\n(.*?)```", text, re.MULTILINE | re.DOTALL)
    pictured = set(PICTURED.findall(picture))
    assert len(pictured) > 8
    missing = sorted(
        room
        for room in pictured
        if not (ROOT / "node" / room).is_dir() and not (ROOT / "node" / f"{room}.py").is_file()
    )
    assert missing == [], f"the README's picture names what is not there: {missing}"
