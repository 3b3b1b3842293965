"""Studies at two peers: each one's answer is kept, and what is open at one is never complete."""

import asyncio
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from schema import Database, add_images, record_found, update_retrieved_study
from tests.db.records import finding, record
from tests.support.images import generate
from tests.support.node import Node
from tests.support.processes import free_port
from tests.support.simulated import simulated

DATES = ("--from", "2024-01-01", "--to", "2024-01-03")


@pytest.fixture
def ports() -> dict[str, int]:
    return {"old": free_port(), "new": free_port(), "spare": free_port()}


@pytest.fixture
def node(cli, tmp_path, migrated_sqlite_url, ports):
    peers = {name: (name.upper(), port) for name, port in ports.items()}
    return Node(cli, tmp_path / "node", migrated_sqlite_url, peers=peers)


@pytest.fixture
def on_postgresql(cli, tmp_path, migrated_postgresql_url, ports):
    """Return a node with the other database; what two archives have is told on SQLite below."""
    peers = {name: (name.upper(), port) for name, port in ports.items()}
    return Node(cli, tmp_path / "node", migrated_postgresql_url, peers=peers)


def test_what_is_open_at_another_peer_is_never_called_complete(node, ports, tmp_path):
    only_old, both, only_new = share(generate(tmp_path / "made", studies=3, images=2), tmp_path)
    nothing = node("move", "old")
    assert nothing.code == 0
    assert (
        f"no study was ever found there; `dicom-node find old --last 7d -f {node.config}`"
        in nothing.stdout
    )
    assert "complete" not in nothing.stdout
    with (
        simulated(node, tmp_path / "old", ports["old"], aetitle="OLD"),
        simulated(node, tmp_path / "new", ports["new"], aetitle="NEW"),
    ):
        node.ok("find", "old", *DATES)
        node.ok("find", "new", *DATES)
        node.ok("project", "create", "trial")
        named = (part for uid in (only_old, both, only_new) for part in ("--study", uid))
        node.ok("project", "add", "trial", *named, "--study", "1.2.3.4")
        node.ok("find", "new", "--project", "trial")
        node.ok("find", "old", "--project", "trial")
        members = {
            one["study_uid"]: one for one in node.json("project", "show", "trial")["members"]
        }
        assert [(one["peer"], one["expected_images"]) for one in members[both]["sources"]] == [
            ("new", 2),
            ("old", 1),
        ]
        assert members[both]["found_at"] == "new (2 images), old (1 image)"
        assert members[only_old]["found_at"] == "old"
        nowhere = members["1.2.3.4"]["why"].split("; ")
        assert [one.split(",")[0] for one in nowhere] == ["old", "new"]
        assert all(one.endswith("has no such study") for one in nowhere)

        moved = node.ok("move", "old")
        assert "old: 2 of 2 studies complete, 3 images" in moved.stdout
        assert f"2 studies are open at new; `dicom-node move new -f {node.config}`" in moved.stderr
        none = node.ok("move", "old").stdout
        assert "Nothing to move from old: what was found there is complete here" in none
        assert node.json("status")["summary"]["retrieved"] == 1, "not the one that new has more of"
        again = node.json("move", "new")
        assert [one["outcome"] for one in again["studies"]] == ["complete"] * 2
        whole = {"found": 2, "complete": 2, "open": 0, "unwanted": 0}
        assert again["peers"] == [{"peer": "new", **whole}]
        done = node.ok("move", "old")
        assert "Nothing to move from old: what was found there is complete here" in done.stdout
        assert done.stderr == ""
        spare = node.json("move", "spare")
        nothing = {"found": 0, "complete": 0, "open": 0, "unwanted": 0}
        assert spare == {"studies": [], "peers": [{"peer": "spare", **nothing}]}


def share(images, folder: Path) -> list[str]:
    """Give the old peer the first two studies, but for an image, and the new one the last two."""
    uids = sorted({image.study_uid for image in images})
    for name, wanted in (("old", uids[:2]), ("new", uids[1:])):
        (folder / name).mkdir()
        for number, image in enumerate(images):
            lacks = name == "old" and image is images[3]
            if image.study_uid in wanted and not lacks:
                shutil.copy(image.path, folder / name / f"{number}.dcm")
    return uids


@contextmanager
def archive(node: Node, folder: Path, name: str, port: int, images: list) -> Iterator[None]:
    """Serve images as the peer of this name."""
    folder.mkdir()
    for number, image in enumerate(images):
        shutil.copy(image.path, folder / f"{number}.dcm")
    with simulated(node, folder, port, aetitle=name.upper()):
        yield


def test_two_archives_are_a_union_and_what_one_loses_or_gains_is_told(
    on_postgresql, ports, tmp_path
):
    node = on_postgresql
    made = generate(tmp_path / "made", studies=3, images=3)
    halved, alike, lone = sorted({image.study_uid for image in made})
    of = {uid: [one for one in made if one.study_uid == uid] for uid in (halved, alike, lone)}
    old = [of[halved][0], *of[alike][:2], *of[lone]]
    new = [of[halved][1], *of[alike][:2]]
    node.ok("project", "create", "trial")
    named = (part for uid in of for part in ("--study", uid))
    node.ok("project", "add", "trial", *named)

    def members() -> dict[str, dict]:
        return {one["study_uid"]: one for one in node.json("project", "show", "trial")["members"]}

    def tallies() -> dict[str, tuple[int, ...]]:
        keys = ("found", "complete", "open", "gone")
        peers = node.json("status")["peers"]
        return {one["peer"]: tuple(one[key] for key in keys) for one in peers if any(one.values())}

    with archive(node, tmp_path / "new", "new", ports["new"], new):
        node.ok("find", "new", *DATES)
        with archive(node, tmp_path / "old", "old", ports["old"], old):
            node.ok("find", "old", *DATES)
            assert tallies() == {"old": (3, 0, 3, 0), "new": (2, 0, 2, 0), "spare": (0, 0, 0, 0)}
            moved = node.json("move")
    assert [(one["peer"], one["study_uid"]) for one in moved["studies"]] == [
        *(("old", uid) for uid in (halved, alike, lone)),
        *(("new", uid) for uid in (halved, alike)),
    ]
    assert {one["outcome"] for one in moved["studies"]} == {"complete"}
    assert node.value("SELECT count(*) FROM images") == 1 + 1 + 2 + 3
    assert members()[halved]["expected_images"] == 2
    assert tallies() == {"old": (3, 3, 0, 0), "new": (2, 2, 0, 0), "spare": (0, 0, 0, 0)}
    assert node.json("status")["summary"]["to_move"] == 0

    assert node("find", "old", *DATES).code == 3, "it is down, and nothing is gone for that"
    assert tallies()["old"] == (3, 3, 0, 0)
    with archive(node, tmp_path / "less", "old", ports["old"], old[:1]):
        assert "old has 2 studies no more" in node.ok("find", "old", *DATES).stderr
    assert tallies()["old"] == (1, 1, 0, 2)
    with archive(node, tmp_path / "more", "new", ports["new"], [*new, of[alike][2]]):
        assert "1 changed" in node.ok("find", "new", *DATES).stdout
        shown = members()
        assert re.fullmatch(r"new, old \(gone since [-0-9]+\)", shown[alike]["found_at"])
        assert "is no peer" not in shown[alike]["why"]
        assert [one["field"] for one in shown[alike]["changes"]] == ["expected_images"]
        assert (shown[alike]["state"], shown[halved]["state"]) == ("partial", "retrieved")
        assert tallies()["new"] == (2, 1, 1, 0)
        told = node.ok("project", "show", "trial")
        assert f"{alike}: new said expected_images '2' until" in told.stderr
        refused = node("move", "old", "--study", alike)
        assert (refused.code, f"old has the study {alike} no more" in refused.stderr) == (2, True)
        node.ok("move")
    assert members()[alike]["state"] == "retrieved"
    assert node.value("SELECT count(*) FROM images") == 8


HELD = {  # of the images of each study, by number: what each peer has
    "equal": ((0, 1), (0, 1)),
    "overlapping": ((0, 1, 2), (1, 2, 3)),
    "disjoint": ((0, 1), (2, 3)),
    "contained": ((0, 1, 2, 3), (0, 1)),
    "growing": ((0,), (0, 1)),
    "lone": ((0, 1), ()),
    "other": ((), (0, 1)),
}
GROWN = {**HELD, "growing": ((0, 1, 2), (0, 1))}
COUNTED = {"equal": 2, "overlapping": 3, "disjoint": 2, "contained": 4, "growing": 2} | {
    "lone": 2,
    "other": 2,
}
WEEK = ("--from", "2024-01-01", "--to", "2024-01-07")

ORDERS = [("old", "new"), ("new", "old")]
CASES = [
    pytest.param("sqlite", ORDERS[0]),
    pytest.param("sqlite", ORDERS[1], marks=pytest.mark.long),
    *(pytest.param("postgresql", order, marks=pytest.mark.long) for order in ORDERS),
]


class Departments:
    """A node with two archives, which come and go, and what it says of the studies of the table."""

    def __init__(self, node: Node, tmp_path: Path, ports: dict[str, int], order: tuple[str, ...]):
        made = generate(tmp_path / "made", studies=len(HELD), images=4)
        self.uids = dict(zip(HELD, sorted({one.study_uid for one in made}), strict=True))
        self._of = {
            name: [one for one in made if one.study_uid == uid] for name, uid in self.uids.items()
        }
        self.node, self._tmp_path, self._ports, self._order = node, tmp_path, ports, order
        self.configure(*order)

    def configure(self, *names: str) -> None:
        """Let these, in this order, be the peers."""
        self.node.configure({name: (name.upper(), self._ports[name]) for name in names})

    @contextmanager
    def up(self, name: str, held: dict) -> Iterator[None]:
        """Serve what a peer has."""
        place = ("old", "new").index(name)
        images = [
            image
            for study, numbers in held.items()
            for number, image in enumerate(self._of[study])
            if number in numbers[place]
        ]
        folder = self._tmp_path / f"{name}-{len(list(self._tmp_path.iterdir()))}"
        with archive(self.node, folder, name, self._ports[name], images):
            yield

    def expected(self) -> dict[str, int]:
        """Return how many images there should be, in `studies_find`."""
        rows = self.node.rows("SELECT study_uid, expected_images FROM studies_find")
        told = {row["study_uid"]: row["expected_images"] for row in rows}
        return {name: told[uid] for name, uid in self.uids.items() if uid in told}

    def sources(self) -> dict[str, dict[str, int]]:
        """Return how many images each source says that it has, in `study_sources`."""
        rows = self.node.rows(
            "SELECT study_uid, s.peer, s.expected_images FROM study_sources s "
            "JOIN studies_find f ON f.id = s.study_find_id"
        )
        names = {uid: name for name, uid in self.uids.items()}
        said: dict[str, dict[str, int]] = {}
        for row in rows:
            said.setdefault(names[row["study_uid"]], {})[row["peer"]] = row["expected_images"]
        return said

    def tallies(self) -> dict[str, tuple[int, ...]]:
        """Return found, complete, open and to compare at each peer, in `status`."""
        keys = ("found", "complete", "open", "to_compare")
        peers = self.node.json("status", "--limit", "0")["peers"]
        return {one["peer"]: tuple(one[key] for key in keys) for one in peers}

    def states(self) -> dict[str, str]:
        """Return the states of the studies, in `project show`."""
        members = self.node.json("project", "show", "all")["members"]
        states = {one["study_uid"]: one["state"] for one in members}
        return {name: states[uid] for name, uid in self.uids.items()}

    def proven(self, *, gaps: int = 0) -> set[str]:
        """Return the peers of which every day is proven, in `coverage`."""
        told = self.node.json("coverage", code=1 if gaps else 0)
        assert told["gaps"] == gaps
        scopes = {one["peer"]: one["scopes"] for one in told["peers"]}
        return {name for name, found in scopes.items() if found and not found[0]["gaps"]}


@pytest.mark.parametrize(("database", "order"), CASES)
def test_whatever_two_archives_have_of_a_study_is_told_and_moved_in_every_order(
    cli, tmp_path, ports, request, database, order
):
    url = request.getfixturevalue(f"migrated_{database}_url")
    node = Node(cli, tmp_path / "node", url, settings={"move": {"settle": "1s"}})
    both = Departments(node, tmp_path, ports, order)
    node.ok("project", "create", "all")
    named = (part for uid in both.uids.values() for part in ("--study", uid))
    node.ok("project", "add", "all", *named)
    said = {
        name: {peer: len(part) for peer, part in zip(("old", "new"), parts, strict=True) if part}
        for name, parts in HELD.items()
    }

    with both.up("old", HELD):
        with both.up("new", HELD):
            node.ok("find", *WEEK)
        assert both.expected() == COUNTED, "never fewer than any source's word"
        assert both.sources() == said
        assert both.tallies() == {"old": (6, 0, 6, 0), "new": (6, 0, 6, 0)}
        assert set(both.states().values()) == {"pending"}
        assert both.proven() == {"old", "new"}

        down = node("find", *WEEK, "--concurrency", "2")  # the new one is
        assert (down.code, "new (" in down.stderr) == (1, True)
        assert "old: 6 studies found, 0 of them new, 0 changed" in down.stdout
        assert (both.expected(), both.sources()) == (COUNTED, said)
        assert node("move").code == 1
    assert both.tallies() == {"old": (6, 6, 0, 0), "new": (6, 0, 6, 5)}
    told = node.ok("status", "--limit", "0").stdout
    assert "new: 6 found, 0 complete, 6 open; 5 to compare: all that another peer has" in told
    missing = {"lone": "retrieved", "other": "pending"}
    assert both.states() == dict.fromkeys(HELD, "partial") | missing
    assert both.proven(gaps=1) == {"old"}, "what new has today, nobody knows"

    both.configure("old")
    assert "6 studies are open at new, which is no peer of the" in node.ok("move").stderr
    assert both.states() == dict.fromkeys(HELD, "partial") | missing
    assert both.sources() == said
    told = node.ok("status", "new", "--limit", "0").stdout
    assert "new: 6 found, 0 complete, 6 open; 5 to compare: all that another peer has" in told
    assert "it is no peer of the configuration" in told

    both.configure(*order)
    with both.up("old", GROWN), both.up("new", GROWN):
        node.ok("find", *WEEK)
        assert both.tallies()["new"] == (6, 0, 6, 4), "one has grown at old"
        assert both.expected()["growing"] == 3
        node.ok("move")
    assert both.states() == dict.fromkeys(HELD, "retrieved")
    assert both.tallies() == {"old": (6, 6, 0, 0), "new": (6, 6, 0, 0)}
    assert both.expected() == COUNTED | {"overlapping": 4, "disjoint": 4, "growing": 3}
    assert node.value("SELECT count(*) FROM images") == 21, "each union"


async def test_a_peer_that_is_taken_out_of_the_configuration_still_counts(
    cli, tmp_path, migrated_url
):
    async with Database(migrated_url) as db:
        for peer in ("here", "lost"):
            await db.run(record_found, [finding("1.2", 1)], peer=peer)
        await db.run(add_images, [record("1.2.1.1", "1.2.1", "1.2", filepath="/1", size=1)])
        await db.run(update_retrieved_study, "1.2", peer="here")
    node = Node(cli, tmp_path / "node", migrated_url, peers={"here": ("HERE", free_port())})
    moved = await asyncio.to_thread(node, "move")
    assert "1 study is open at lost, which is no peer of the configuration" in moved.stderr
    (study,) = await asyncio.to_thread(node.rows, "SELECT state, retrieved_on FROM studies_find")
    assert (study["state"], study["retrieved_on"]) == ("partial", None)
    assert "By state: 1 partial." in (await asyncio.to_thread(node, "report")).stdout
    explained = await asyncio.to_thread(node, "explain", "1.2")
    assert "lost is no peer of the configuration: nobody can ask it." in explained.stdout
