"""`dicom-node manifest`: what is listed anybody can check, and whatever changes is noticed."""

import csv
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from node.ops.manifest.check import Check
from node.ops.manifest.fault import Differing
from node.ops.manifest.written import ManifestFiles
from schema.parsing.extract import dataset_digest
from schema.text.harmless import in_list
from tests.support.images import generate
from tests.support.node import Node
from tests.support.received import flip_byte, receive


@pytest.fixture
def node(cli, tmp_path, migrated_url) -> Node:
    return Node(cli, tmp_path / "node", migrated_url)


@pytest.fixture
def one_node(cli, tmp_path, migrated_sqlite_url) -> Node:
    return Node(cli, tmp_path / "node", migrated_sqlite_url)


def sha256sum(listed: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sha256sum", "-c", "--strict", str(listed)], cwd=folder, capture_output=True, text=True
    )


def listed(document) -> dict[str, str]:
    with open(document["list"], newline="") as file:  # noqa: PTH123
        return {row["path"]: row["kind"] for row in csv.DictReader(file)}


def test_a_manifest_is_checked_by_anybody_and_what_changes_is_noticed(node, tmp_path):
    made = generate(node.directory, studies=3, series=2, images=7)
    odd = ["two words.dcm", "new\nline.dcm", "back\\slash.dcm", "re\rturn.dcm", "*star.dcm"]
    paths = [image.path for image in made]
    for number, name in enumerate(odd):
        paths[number] = paths[number].rename(paths[number].with_name(name))
    node.ok("parse", "-i", node.directory)
    first, _, third = sorted({image.study_uid for image in made})
    node.ok("project", "create", "trial")
    node.ok("project", "add", "trial", "--study", first, "--study", third)
    manifest = tmp_path / "trial.sha256"
    done = node.json("manifest", "create", "--project", "trial", "-o", manifest)
    assert (done["images"], done["studies"], done["wrong"]) == (28, 2, {})
    files = [Path(name) for name in done["files"]]
    assert files == [manifest, tmp_path / "trial.sha256.csv", tmp_path / "trial.sha256.json"]
    assert done["sha256"] == hashlib.sha256(files[2].read_bytes()).hexdigest()

    by_others = sha256sum(manifest, node.directory)
    assert (by_others.returncode, by_others.stderr) == (0, "")
    assert by_others.stdout.count(": OK\n") == 28
    with files[1].open(newline="") as file:
        rows = list(csv.DictReader(file))
    order = [(row["study_uid"], row["series_uid"], row["image_uid"]) for row in rows]
    assert order == sorted(order)
    assert {row["study_uid"] for row in rows} == {first, third}
    for row in rows[::9]:
        path = node.directory / row["path"]
        assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert row["dataset_sha256"] == dataset_digest(str(path))
        assert int(row["size"]) == path.stat().st_size
        assert row["transfer_syntax_uid"] == "1.2.840.10008.1.2.1"

    refused = node("manifest", "create", "--all", "-o", manifest)
    assert (refused.code, "--force replaces it" in refused.stderr) == (2, True)
    before = [path.read_bytes() for path in files]
    node.ok("manifest", "create", "--project", "trial", "-o", manifest, "--force", "-t", "1")
    assert [path.read_bytes() for path in files] == before, "the same images give the same bytes"
    whole = node.json("manifest", "verify", manifest, "--digest", done["sha256"].upper())
    assert (whole["images"], whole["whole"], whole["wrong"], whole["index"]) == (28, 28, {}, True)

    # elsewhere, by somebody without the database
    copy = tmp_path / "copy"
    shutil.copytree(node.directory, copy)
    stranger = Node(node.cli, tmp_path / "stranger", f"sqlite:///{tmp_path}/none.db")
    nothing = stranger("manifest", "verify", copy / "nosuch", "--directory", copy)
    assert (nothing.code, nothing.stderr.count("\n")) == (2, 1)
    for wrong in (("--directory", copy / "nosuch"), ("--digest", "123")):
        assert stranger("manifest", "verify", manifest, *wrong).code == 2
    other = tmp_path / "cohort.csv"
    other.write_text("uid\n1.2.3\n")
    told = stranger("manifest", "verify", other, "--directory", copy)
    assert (told.code, "cohort.csv is no manifest: its first line" in told.stderr) == (2, True)
    assert not (node.cli.folder / "manifest-failed.csv").exists()
    told = stranger.ok("manifest", "verify", manifest, "--directory", copy).stdout
    assert told.startswith("28 images, ")
    assert told.endswith(" MB: 28 whole\n")
    taken = [row["path"] for row in rows[-3:]]
    flip_byte(copy / taken[0], 200)  # in the File Meta Information
    (copy / taken[1]).unlink()
    (copy / taken[2]).unlink()
    (copy / taken[2]).mkdir()
    found = stranger.json("manifest", "verify", manifest, "--directory", copy, code=1)
    kinds = dict(zip(taken, ("changed", "missing", "unreadable"), strict=True))
    assert (found["whole"], found["wrong"]) == (25, dict.fromkeys(sorted(kinds.values()), 1))
    assert listed(found) == kinds
    assert found["index"] is False
    assert node.json("manifest", "verify", manifest)["wrong"] == {}

    # what the project has by now
    more = generate(tmp_path / "more", images=1, seed=9)
    receive(node, more[0].path)
    node.ok("project", "add", "trial", "--study", more[0].study_uid)
    node.ok("project", "remove", "trial", "--study", first)
    node.ok("project", "add", "trial", "--study", "1.2.3")
    lacking = node.json("manifest", "create", "--project", "trial", "-o", tmp_path / "now.sha256")
    assert (lacking["images"], lacking["absent_studies"], lacking["incomplete_studies"]) == (
        15,
        1,
        0,
    )
    again = ("--project", "trial", "-o", tmp_path / "now.sha256", "--force")
    said = "0 of its 3 studies are complete, 1 has no image here, 2 are here, but not known to be"
    assert said in node.ok("manifest", "create", *again).stderr
    now = node.json("manifest", "verify", manifest, code=1)
    assert (now["whole"], now["wrong"]) == (28, {"added": 1, "gone": 14})
    assert listed(now) == {more[0].sop_instance_uid: "added"} | {
        in_list(row["path"]): "gone" for row in rows if row["study_uid"] == first
    }


async def test_a_manifest_that_was_changed_is_told(one_node, tmp_path):
    made = generate(one_node.directory, images=3)
    one_node.ok("parse", "-i", one_node.directory)
    manifest = tmp_path / "all.sha256"
    sha256 = one_node.json("manifest", "create", "--all", "-o", manifest)["sha256"]
    whole = {path.name: path.read_bytes() for path in tmp_path.glob("all.sha256*")}

    async def checked(name: str, old: bytes, new: bytes, sha256=None) -> dict[str, str]:
        """Change one of the three; return what differs, by name, and put it back."""
        assert old in whole[name]
        (tmp_path / name).write_bytes(whole[name].replace(old, new))
        found: list[Differing] = []
        check = Check(ManifestFiles(manifest), threads=1, found=found.append)
        await check.read_about(sha256)
        await check.run(one_node.directory)
        (tmp_path / name).write_bytes(whole[name])
        assert check.report().wrong == len(found)
        assert check.report().whole == 3 - sum(one.why != "manifest" for one in found) - (
            "line 1: it is no line of sha256sum" in [one.reason for one in found]
        )
        return {f"{one.why} {Path(one.path).name}": one.reason for one in found}

    assert await checked("all.sha256", b"", b"", sha256) == {}
    digest = hashlib.sha256(made[0].path.read_bytes()).hexdigest().encode()
    name = made[0].path.name
    not_so = "it is not as all.sha256.json has it"
    assert await checked("all.sha256", digest, b"0" * 64) == {
        "manifest all.sha256": not_so,
        f"changed {name}": "its SHA-256 is another one",
    }
    broken = await checked("all.sha256", digest, digest[1:])
    assert broken == {"manifest all.sha256": "line 1: it is no line of sha256sum"}
    assert await checked(
        "all.sha256", b"  study-0000/" + name.encode(), b"  ../" + name.encode()
    ) == {
        "manifest all.sha256": not_so,
        f"outside {name}": "its path leads out of the folder",
    }
    details = await checked("all.sha256.csv", b"image_uid", b"image-uid")
    assert details == {"manifest all.sha256.csv": not_so}
    other = "its SHA-256 is not the one that was given"
    about = await checked("all.sha256.json", b'"images": 3', b'"images": 4', sha256)
    assert about == {"manifest all.sha256.json": other}
    about = await checked("all.sha256.json", b"manifest 1", b"manifest 9")
    no_such = "it is no document of the format 'dicom-node manifest 1'"
    assert about == {"manifest all.sha256.json": no_such}
    (tmp_path / "all.sha256.json").unlink()
    (tmp_path / "all.sha256.csv").write_bytes(whole["all.sha256.csv"].replace(b"uid", b"id"))
    alone = one_node("manifest", "verify", manifest)
    assert (alone.code, alone.stdout.splitlines()[0].partition(": ")[2]) == (
        1,
        "3 whole, 1 manifest",
    )
    assert "whether the list was changed cannot be told" in alone.stderr
    (tmp_path / "all.sha256.json").write_bytes(whole["all.sha256.json"])
    told = one_node("manifest", "verify", manifest)
    assert (told.code, "it is not the CSV of a manifest" in told.stderr) == (1, True)
    assert one_node("manifest", "verify", tmp_path / "none").code == 2


def test_no_manifest_is_written_of_what_is_missing_damaged_or_elsewhere(one_node, tmp_path):
    node = one_node
    made = generate(tmp_path / "sent", images=5)
    receive(node, *(image.path for image in made[:4]))
    manifest = tmp_path / "m.sha256"
    node.ok("manifest", "create", "--study", made[0].study_uid, "-o", manifest)
    before = manifest.read_bytes()
    paths = sorted(node.stored().values())
    paths[0].unlink()
    flip_byte(paths[1], 150)
    flip_byte(paths[2], paths[2].stat().st_size - 10)
    node.ok("parse", "-i", made[4].path)
    done = node("manifest", "create", "--all", "--force", "-o", manifest)
    assert done.code == 1
    assert "no manifest is written: of 5 images, 2 changed, 1 missing, 1 outside" in done.stderr
    assert f"{paths[0]}: there is no such file" in done.stderr
    assert f"{paths[1]}: its File Meta Information is not as it was written" in done.stderr
    assert "`dicom-node verify --reopen" in done.stderr
    assert "--directory names a folder that has all of them" in done.stderr
    assert manifest.read_bytes() == before
    assert [path.name for path in tmp_path.glob(".m*")] == []
    node.ok("project", "create", "empty")
    empty = node("manifest", "create", "--project", "empty", "--force", "-o", manifest)
    assert (empty.code, "there is no image" in empty.stderr) == (1, True)
    for wrong in ((), ("--all", "--project", "empty")):
        assert node("manifest", "create", *wrong).code == 2


def test_paths_may_start_from_any_folder_that_has_all_images(one_node, tmp_path):
    made = generate(tmp_path / "sent", images=2)
    receive(one_node, made[0].path)
    one_node.ok("parse", "-i", made[1].path)
    manifest = tmp_path / "m.sha256"
    one_node.ok("manifest", "create", "--all", "--directory", tmp_path, "-o", manifest)
    assert sha256sum(manifest, tmp_path).returncode == 0
    assert one_node.json("manifest", "verify", manifest)["whole"] == 2
