"""The house's own rules: rooms of a size that can be read, and one name for one thing."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median

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
