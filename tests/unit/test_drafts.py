"""Files get their names when they are whole, whatever ends the program that writes them."""

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from schema.dumping import drafts as module
from schema.dumping.drafts import Drafts, draft_of, settle

NAMES = ("a.csv", "b.csv", "c.csv")

WRITE = """
import os, sys
from pathlib import Path
from schema.dumping.drafts import Drafts

left = int(sys.argv[2])
replace = Path.replace

def moved(self, target):
    global left
    if left == 0:
        os._exit(9)
    left -= 1
    return replace(self, target)

Path.replace = moved
with Drafts(Path(sys.argv[1]), "dump") as drafts:
    for name in ("a.csv", "b.csv", "c.csv"):
        drafts.path(name).write_text("new")
        if left < 0:
            os._exit(9)
"""


def write(folder: Path, content: str, **options: bool) -> None:
    with Drafts(folder, "dump", **options) as drafts:
        for name in NAMES:
            drafts.path(name).write_text(content)


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def killed(folder: Path, moved: int) -> None:
    """Run a program that writes the files, and dies when so many are in their places."""
    done = subprocess.run(
        [sys.executable, "-c", WRITE, str(folder), str(moved)],
        env={**os.environ, "PYTHONPATH": os.getcwd()},  # noqa: PTH109 - a search path
        check=False,
    )
    assert done.returncode == 9


@pytest.mark.parametrize(("moved", "stays"), [(-1, "old"), (0, "new"), (2, "new")])
def test_a_dump_that_was_killed_leaves_one_snapshot_or_the_other(tmp_path, moved, stays):
    write(tmp_path, "old")
    killed(tmp_path, moved)
    assert len(list(tmp_path.iterdir())) == 4
    settle(tmp_path, "dump")
    assert contents(tmp_path) == dict.fromkeys(NAMES, stays)


def test_what_lives_is_left_alone_and_what_is_dead_is_removed(tmp_path):
    dead = tmp_path / ".dump.12345678.part"
    dead.mkdir()
    (dead / "a.csv").write_text("dead")
    (tmp_path / ".dump.csv").write_text("mine")
    with Drafts(tmp_path, "dump") as one:
        one.path("a.csv").write_text("living")
        write(tmp_path, "another")
        assert not dead.exists()
        assert contents_of_files(tmp_path) == {
            ".dump.csv": "mine",
            **dict.fromkeys(NAMES, "another"),
        }
    assert contents(tmp_path)["a.csv"] == "living"


def contents_of_files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def test_an_error_leaves_what_was_there_and_no_draft(tmp_path):
    write(tmp_path, "old")

    def fail() -> None:
        with Drafts(tmp_path, "dump") as drafts:
            drafts.path("a.csv").write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    with pytest.raises(FileExistsError):
        write(tmp_path, "new", replace=False)
    (tmp_path / "c.csv").unlink()
    (tmp_path / "c.csv").mkdir()
    with pytest.raises(IsADirectoryError):
        write(tmp_path, "new")
    (tmp_path / "c.csv").rmdir()
    assert contents(tmp_path) == {"a.csv": "old", "b.csv": "old"}


def test_everything_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    steps = []
    monkeypatch.setattr(module, "sync", lambda path: steps.append(f"sync {path.name}"))
    monkeypatch.setattr(
        module,
        "sync_folder",
        lambda path: steps.append(f"folder {path.suffix or path.name == tmp_path.name}"),
    )
    rename = Path.rename
    monkeypatch.setattr(Path, "rename", lambda self, to: steps.append("whole") or rename(self, to))
    replace = Path.replace
    monkeypatch.setattr(
        Path, "replace", lambda self, to: steps.append(f"move {to.name}") or replace(self, to)
    )
    write(tmp_path, "new")
    assert steps == [
        *(f"sync {name}" for name in NAMES),
        "folder .part",
        "whole",
        "folder True",
        *(f"move {name}" for name in NAMES),
        "folder True",
    ]


async def test_a_task_that_is_cancelled_while_its_files_are_synced_takes_none_away(
    tmp_path, monkeypatch
):
    syncing, go_on = threading.Event(), threading.Event()

    def slow(_path: Path) -> None:
        syncing.set()
        go_on.wait(10)

    monkeypatch.setattr(module, "sync", slow)

    async def dump() -> None:
        with Drafts(tmp_path, "dump") as drafts:
            for name in NAMES:
                drafts.path(name).write_text("new")
            await asyncio.to_thread(drafts.finish)

    task = asyncio.create_task(dump())
    await asyncio.to_thread(syncing.wait, 10)
    task.cancel()
    timer = threading.Timer(0.2, go_on.set)
    timer.start()
    with pytest.raises(asyncio.CancelledError):
        await task
    timer.join()
    assert contents(tmp_path) == dict.fromkeys(NAMES, "new")


def test_a_single_file_keeps_its_mode_and_its_link(tmp_path):
    target = tmp_path / "elsewhere" / "target"
    target.parent.mkdir()
    target.write_text("old")
    target.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(target)
    with draft_of(link) as draft:
        draft.write_text("new")
        assert target.read_text() == "old"
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o640
    assert os.listdir(target.parent) == ["target"]


def test_what_is_no_regular_file_is_written_itself():
    with draft_of(Path(os.devnull)) as draft:
        assert draft == Path(os.devnull)


def test_a_long_name_has_a_draft_too(tmp_path):
    path = tmp_path / ("x" * 255)
    with draft_of(path) as draft:
        draft.write_text("new")
    assert path.read_text() == "new"
