"""Second copies of images, as they come: what is acknowledged, what is noted, and what is left."""

import pytest

from node.dicom.part10 import file_header
from node.net.messages import Caller, StoreRequest
from node.ops.checking.home import Home
from node.ops.sampling.copies import SecondCopies
from node.ops.sampling.report import ImageOutcome, StudySample
from node.storage.folders import spooled
from schema.choosing.policy import Policy
from schema.inventory import Held
from schema.moving.senders import Senders
from tests.support.encoded import EXPLICIT, element

CT = "1.2.840.10008.5.1.4.1.1.2"
OUT_OF_RESOURCES = 0xA700
SENDERS = Senders(
    peers={"PACS": frozenset({"pacs"}), "OLD": frozenset({"old"})}, ours=frozenset({"NODE"})
)


def image(study: str = "1.2", name: bytes = b"Doe^Jane") -> bytes:
    uid = study.encode() + b"\0" * (len(study) % 2)
    return element(0x00100010, "PN", name) + element(0x0020000D, "UI", uid)


def held(folder, uid: str, source: str = "PACS") -> Held:
    path = folder / f"{uid}.dcm"
    header = file_header(sop_class_uid=CT, sop_instance_uid=uid, transfer_syntax_uid=EXPLICIT)
    path.write_bytes(header + image())
    return Held(
        id=1,
        image_uid=uid,
        study_uid="1.2",
        filepath=str(path),
        sha256=None,
        size=None,
        sop_class_uid=CT,
        transfer_syntax_uid=EXPLICIT,
        source=source,
        node=None,
    )


@pytest.fixture
async def copies(tmp_path):
    taking = SecondCopies(Home(tmp_path, aetitle="NODE"), senders=SENDERS)
    await taking.start()
    yield taking
    await taking.close()
    assert list((tmp_path / ".spool").iterdir()) == [], "nothing is left of them"


async def sent(copies, uid, data, *, aetitle="PACS", originator=""):
    """Send an object, and return what its sender is told."""
    request = StoreRequest(
        caller=Caller(aetitle=aetitle, address="127.0.0.1", port=1),
        sop_class_uid=CT,
        sop_instance_uid=uid,
        transfer_syntax_uid=EXPLICIT,
        originator=originator,
    )
    sink = copies.open(request)
    sink.write(data)
    await sink.drained()
    return await sink.finish()


async def test_where_anybody_may_send_nothing_is_acknowledged_that_is_not_held_or_asked_for(
    copies, tmp_path
):
    study = StudySample(study_uid="1.2", peer="pacs")
    ours = {uid: held(tmp_path, uid) for uid in ("1", "2")}
    ours["3"] = held(tmp_path, "3", source="OLD")
    ours["4"] = held(tmp_path, "4", source="MODALITY")
    copies.expect(study, ours, asked=False)
    assert await sent(copies, "1", image(), aetitle="MODALITY") == OUT_OF_RESOURCES
    assert await sent(copies, "1", image(), aetitle="OLD") == OUT_OF_RESOURCES
    assert copies.count == 0
    assert await sent(copies, "1", image()) == 0
    assert await sent(copies, "2", image(name=b"Doe^John")) == OUT_OF_RESOURCES
    assert await sent(copies, "5", image()) == OUT_OF_RESOURCES, "a new one of the study"
    assert await sent(copies, "6", image("1.9")) == OUT_OF_RESOURCES, "one of another study"
    assert await sent(copies, "7", image(), originator="NODE", aetitle="GATEWAY") == 0
    assert await sent(copies, "2", image()) == 0, "the same one again, as it is held"
    assert not spooled(tmp_path)
    await copies.finish()
    assert study.outcomes == {
        ImageOutcome.IDENTICAL: 1,
        ImageOutcome.DIFFERENT: 1,  # it came twice, and one of both was another
        ImageOutcome.NEW: 2,
        ImageOutcome.ELSEWHERE: 1,  # nobody has said that this peer has it
        ImageOutcome.MISSING: 1,
    }
    assert (study.held, study.came) == (0, 4)
    assert await sent(copies, "1", image()) == OUT_OF_RESOURCES, "nothing is asked for any more"


async def test_what_was_asked_for_is_acknowledged_and_what_ends_early_is_forgotten(
    copies, tmp_path, monkeypatch
):
    study = StudySample(study_uid="1.2", peer="pacs", policy="some")
    copies.expect(
        study,
        {uid: held(tmp_path, uid) for uid in ("1", "2")},
        asked=True,
        policy=Policy(series=("CHEST*",)),
    )
    told = []
    with copies.telling(lambda: told.append(copies.count)):
        scout = element(0x0008103E, "LO", b"SCOUT ")
        for uid, body in ("1", image()), ("5", scout + image()):
            assert await sent(copies, uid, body, aetitle="ANY") == 0
        assert await sent(copies, "2", b"\xff" * 7) == 0
    assert told == [1, 2, 3]
    request = StoreRequest(
        caller=Caller(aetitle="ANY", address="127.0.0.1", port=1),
        sop_class_uid=CT,
        sop_instance_uid="1",
        transfer_syntax_uid=EXPLICIT,
    )
    sink = copies.open(request)
    sink.write(bytes(100))
    await sink.drained()
    sink.discard()
    await copies.finish()
    (unread,) = [one for one in study.images if one.outcome is ImageOutcome.NOT_COMPARED]
    assert unread.image_uid == "2"
    assert unread.reason.startswith("it ends within the element at byte")
    assert study.came == 3
    assert not study.same
    monkeypatch.setitem(study.outcomes, ImageOutcome.NOT_COMPARED, 0)
    assert study.outcomes[ImageOutcome.UNWANTED] == 1
    assert study.same, "of what the policy does not want there may be more"
