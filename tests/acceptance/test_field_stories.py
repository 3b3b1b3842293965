"""What has been told of archives, and of those who moved studies from them: it is not so here."""

import json
import signal
from contextlib import contextmanager

import pytest

from node.simulator.chance import fraction
from node.simulator.generated.archive import GeneratedArchive
from node.simulator.generated.population import Population
from node.simulator.misbehaving.pacs import Misbehaving
from node.simulator.misbehaving.settings import Misbehaviour
from tests.support.node import Node
from tests.support.processes import free_port
from tests.support.waiting import wait_until

ARCHIVE = {
    "studies": 60,
    "start_date": "2024-01-01",
    "end_date": "2024-01-05",
    "image_bytes": [8, 32],
}
ATTEMPTS = """
    SELECT level, requested, outcome, failure, completed, arrived, images, expected
    FROM move_attempts ORDER BY id
"""


class Pacs:
    """A simulated PACS, what it really has, and the node that moves from it."""

    def __init__(self, cli, folder, url):
        self.port = free_port()
        self.folder = folder
        settings = {
            "node": {"grace": "2s"},
            "move": {"settle": "0.5s", "timeout": "2s", "concurrency": 1, "retry": "1s"},
        }
        peers = {"pacs": ("PACS", self.port)}
        self.node = Node(cli, folder / "node", url, peers=peers, settings=settings)
        self.retrievals = {}

    def studies(self, least=4, most=9, **changes):
        """Return the images of its studies with so many, by UID, in the order of their dates."""
        archive = GeneratedArchive(Population(**(ARCHIVE | changes)))
        pacs = Misbehaving(archive=archive, settings=Misbehaviour(), aetitle="PACS")
        dates = {one["StudyInstanceUID"][0]: one["StudyDate"] for one in pacs.truth()}
        images = {
            uid: {image.sop_instance_uid for image in pacs.images(uid)}
            for uid in sorted(dates, key=lambda uid: dates[uid])
        }
        return {uid: held for uid, held in images.items() if least <= len(held) <= most}

    @contextmanager
    def behaving(self, archive=None, **retrieval):
        """Serve for the length of the block; then `retrievals` has what happened to those."""
        behaviour, counters = self.folder / "pacs.json", self.folder / "counters.json"
        settings = {"archive": ARCHIVE | (archive or {}), "retrieval": retrieval}
        behaviour.write_text(json.dumps(settings), encoding="utf-8")  # which is YAML as well
        process = self.node.cli.start(
            *("simulate", "--behaviour", behaviour, "--aetitle", "PACS", "--port", str(self.port)),
            *("--destination", f"NODE=127.0.0.1:{self.node.port}", "--counters", counters),
            log=self.folder / "pacs.log",
        )
        try:
            process.wait_for_port(self.port)
            yield
        finally:
            process.terminate()
            self.retrievals = json.loads(counters.read_text(encoding="utf-8"))["retrieval"]

    def find(self, *studies):
        asked = [part for study in studies for part in ("--study", study)]
        return self.node.json("find", "pacs", *asked)

    def move(self, code=0):
        """Move what is open; return the outcome and the number of images of each."""
        told = self.node.json("move", "pacs", code=code)
        return {one["study_uid"]: (one["outcome"], one["received"]) for one in told["studies"]}

    def here(self):
        """Return the SOP Instance UIDs that are in the index, with a file that is there."""
        return {uid for uid, path in self.node.stored().items() if path.exists()}

    def standing(self):
        """Return how many studies are found, complete and open, as `status` says."""
        (peer,) = self.node.json("status")["peers"]
        return peer["found"], peer["complete"], peer["open"]

    def of_study(self, columns):
        (row,) = self.node.rows(f"SELECT {columns} FROM studies_find")
        return tuple(row.values())


@pytest.fixture
def pacs(cli, tmp_path, migrated_sqlite_url):
    return Pacs(cli, tmp_path, migrated_sqlite_url)


@pytest.fixture
def on_both(cli, tmp_path, migrated_url):
    """Return it on each database, for the stories that leave most in it: the others differ in it
    by less than in what the archive does."""
    return Pacs(cli, tmp_path, migrated_url)


def test_success_before_the_stores_is_no_retrieved_study_and_what_comes_late_is_its_own(pacs):
    (study, images), *_ = pacs.studies().items()
    with pacs.behaving(early={"delay": 1.5}), pacs.node.running():
        pacs.find(study)
        assert pacs.move(code=1) == {study: ("empty", 0)}
        assert pacs.of_study("state, retrieved_on") == ("empty", None)
        wait_until(lambda: pacs.here() == images)
        assert pacs.move() == {study: ("complete", len(images))}
    assert pacs.retrievals["moves"] == 1, "what is here is not asked for again"
    assert pacs.of_study("state, evidence, attempts") == ("retrieved", "listed", 2)
    attempts = (
        "SELECT DISTINCT outcome FROM images JOIN move_attempts ON attempt_id=move_attempts.id"
    )
    assert pacs.node.value(attempts) == "empty", "they are the attempt's that had asked for them"


def test_of_180_sent_and_127_arrived_the_53_are_asked_for_by_name(on_both):
    pacs = on_both
    of_180 = {"seed": 285}
    ((study, images),) = pacs.studies(180, 180, **of_180).items()
    with pacs.behaving(archive=of_180, left_out={"images": 0.3, "first": 1}):
        pacs.find(study)
        assert pacs.move() == {study: ("complete", 180)}
    first, second = pacs.node.rows(ATTEMPTS)
    assert (first["outcome"], first["failure"]) == ("partial", "none"), "it has said Success"
    assert (first["completed"], first["arrived"], first["expected"]) == (180, 127, 180)
    assert (second["outcome"], second["level"]) == ("retrieved", "IMAGE")
    assert (second["requested"], second["arrived"]) == (53, 53)
    assert pacs.here() == images


def test_an_import_that_failed_is_not_complete_after_a_restart(pacs):
    (study, images), *_ = pacs.studies().items()
    with pacs.behaving(failures={"status": 0xC000, "images": 3}, levels={"IMAGE": "refused"}):
        pacs.find(study)
        with pacs.node.running():
            ((outcome, received),) = pacs.move(code=1).values()
        assert (outcome, received) == ("partial", len(pacs.here()))
        assert 0 < received < len(images)
        daemon = pacs.node.start()
        daemon.kill()
        with pacs.node.running():
            assert pacs.standing() == (1, 0, 1)
            state, error = pacs.of_study("state, last_error")
            assert state == "partial"
            assert error.startswith(f"{len(images) - received} of {len(images)} images are missing")
    with pacs.behaving():
        assert pacs.move() == {study: ("complete", len(images))}
    assert (pacs.standing(), pacs.here()) == ((1, 1, 0), images)


def test_a_file_that_is_gone_though_the_index_says_present_is_found_and_brought_again(pacs):
    (study, images), *_ = pacs.studies().items()
    with pacs.behaving():
        pacs.find(study)
        assert pacs.move() == {study: ("complete", len(images))}
        lost = min(images)
        pacs.node.stored()[lost].unlink()
        assert pacs.standing() == (1, 1, 0), "nobody has looked"
        told = pacs.node.json("verify", "--reopen", code=1)
        assert (told["wrong"], told["reopened"]["studies"]) == ({"missing": 1}, [study])
        assert pacs.standing() == (1, 0, 1)
        assert pacs.of_study("state, evidence, retrieved_on") == ("partial", None, None)
        assert pacs.move() == {study: ("complete", len(images))}
    assert pacs.here() == images
    assert pacs.retrievals["images"] == len(images) + 1


def test_a_queue_is_not_blocked_at_0_percent_by_its_first_study(pacs):
    studies = pacs.studies()
    blocking = next(uid for uid in studies if fraction(uid, "stall") < 0.5)
    later = list(studies)[list(studies).index(blocking) + 1 :]
    others = [uid for uid in later if fraction(uid, "stall") >= 0.5][:3]
    with pacs.behaving(stall={"share": 0.5}, cancel="ignored"):
        pacs.find(blocking, *others)
        told = pacs.move(code=1)
    assert next(iter(told)) == blocking, "it is the first one"
    assert told.pop(blocking) == ("failed", 0)
    assert told == {uid: ("complete", len(studies[uid])) for uid in others}
    assert pacs.standing() == (4, 3, 1)
    error = f"SELECT last_error FROM studies_find WHERE study_uid = '{blocking}'"
    assert "the C-MOVE at pacs has made no progress for 2 s" in pacs.node.value(error)


def test_a_counter_does_not_say_100_percent_from_an_old_cycle(pacs):
    grown = pacs.studies()
    before = pacs.studies(1, series="odd")
    study = next(uid for uid in grown if uid in before and len(before[uid]) < len(grown[uid]))
    with pacs.behaving(archive={"series": "odd"}):
        pacs.find(study)
        assert pacs.move() == {study: ("complete", len(before[study]))}
        assert pacs.standing() == (1, 1, 0)
    with pacs.behaving():
        assert pacs.find(study)["changed"] == 1
        assert pacs.standing() == (1, 0, 1)
        wanted = "state, evidence, expected_images"
        assert pacs.of_study(wanted) == ("pending", None, len(grown[study]))
        assert pacs.move() == {study: ("complete", len(grown[study]))}
    assert pacs.retrievals["images"] == len(grown[study]) - len(before[study])
    assert (pacs.standing(), pacs.here()) == ((1, 1, 0), grown[study])


def test_a_node_that_is_killed_between_the_last_image_and_the_verdict_asks_for_nothing_twice(
    on_both,
):
    pacs = on_both
    (study, images), *_ = pacs.studies().items()
    pacs.node.configure({"pacs": ("PACS", pacs.port)}, settings={"move": {"timeout": "60s"}})
    with pacs.behaving(endless={}):  # after all of them, Pending for ever
        pacs.find(study)
        mover = pacs.node.cli.start(
            "move", "pacs", "--config", pacs.node.config, log=pacs.folder / "move.log"
        )
        try:
            wait_until(lambda: pacs.here() == images, describe=mover.output)
            mover.signal(signal.SIGKILL)
        finally:
            mover.kill()
        assert pacs.of_study("retrieved_on, evidence") == (None, None)
        assert pacs.standing() == (1, 0, 1)
    files = pacs.node.files()
    with pacs.behaving():
        assert pacs.move() == {study: ("complete", len(images))}
    assert pacs.retrievals["moves"] == 0
    assert pacs.of_study("state, evidence") == ("retrieved", "listed")
    outcomes = [row["outcome"] for row in pacs.node.rows(ATTEMPTS)]
    assert outcomes == ["interrupted", "retrieved"]
    (peer,) = pacs.node.json("status")["peers"]
    assert (peer["hour"]["studies"], peer["hour"]["images"]) == (1, len(images))
    assert (pacs.here(), pacs.node.files()) == (images, files)
