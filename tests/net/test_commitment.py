"""Storage commitment that others ask of the running node: what is committed, and how it is told."""

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage
from sqlalchemy import text

from node.dicom.commitment import Reference
from node.dicom.status import Status
from node.errors import PeerRefused
from node.net.scu.commitment import associate_to_commit
from node.ops.answering.committing_files import CommittedFiles
from node.ops.indexing.indexer import Indexer
from schema.committing.listing import open_commitments
from tests.support.commitment import (
    Modality,
    a_transaction,
    ask_and_leave,
    ask_and_stay,
    committing_node,
    references,
    request,
    store,
)
from tests.support.images import generate
from tests.support.processes import free_port
from tests.support.variants import on_sqlite
from tests.support.waiting import wait_until_async


@pytest.fixture
def images(tmp_path):
    return generate(tmp_path / "images", images=4)


async def rows(db, sql):
    async with db.session() as session:
        return [tuple(row) for row in await session.execute(text(sql))]


async def indexed(db, count):
    async def there():
        return await rows(db, "SELECT count(*) FROM images") == [(count,)]

    await wait_until_async(there)


async def ended(db, state):
    async def there():
        return {row[0] for row in await rows(db, "SELECT state FROM storage_commitments")} == {
            state
        }

    await wait_until_async(there)


async def due_now(db):
    """Let what waits for its turn be due, as if its pause were over."""
    async with db.begin() as session:
        await session.execute(
            text("UPDATE storage_commitments SET next_on = created_on WHERE pid IS NULL")
        )


async def test_what_is_whole_is_committed_over_the_association_that_asked(db, tmp_path, images):
    async with committing_node(db, tmp_path / "dicom", free_port()) as node:
        await store(node, images)
        report = await ask_and_stay(node, references(images))  # it need not be indexed yet
        assert sorted(report.committed) == sorted(references(images))
        assert report.failed == []
        await ended(db, "done")
    assert await rows(db, "SELECT committed, failed, attempts FROM storage_commitments") == [
        (4, 0, 1)
    ]


async def test_what_is_damaged_missing_unknown_or_of_another_class_is_named_with_its_reason(
    db, tmp_path, images
):
    async with committing_node(db, tmp_path / "dicom", free_port()) as node:
        await store(node, images)
        await indexed(db, 4)
        paths = dict(await rows(db, "SELECT image_uid, filepath FROM images"))
        damaged, missing, other, sound = images
        path = Path(paths[damaged.sop_instance_uid])
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        Path(paths[missing.sop_instance_uid]).unlink()
        unknown = Reference(CTImageStorage, "1.2.3.4")
        wanted = [
            *references([damaged, missing, sound]),
            *references([other], CTImageStorage),
            unknown,
        ]
        report = await ask_and_stay(node, wanted)
    assert report.committed == references([sound])
    assert dict(report.failed) == {
        references([damaged])[0]: 0x0110,
        references([missing])[0]: 0x0112,
        references([other], CTImageStorage)[0]: 0x0119,
        unknown: 0x0112,
    }
    assert report.event_type == 2


@on_sqlite
async def test_who_has_released_the_association_is_told_over_another_one(db, tmp_path, images):
    async with Modality() as modality:
        async with committing_node(db, tmp_path / "dicom", modality.port) as node:
            await store(node, images)
            assert await ask_and_leave(node, references(images)) == Status.SUCCESS
            await wait_until_async(lambda: modality.reports)
            await ended(db, "done")
    assert sorted(modality.reports[0].committed) == sorted(references(images))


async def test_a_modality_that_is_gone_or_refuses_is_told_again_until_it_takes_the_report(
    db, tmp_path, images, caplog
):
    port = free_port()
    async with committing_node(db, tmp_path / "dicom", port) as node:
        await store(node, images)
        await ask_and_leave(node, references(images))

        async def tried(times):
            [(attempts, reason, pid)] = await rows(
                db, "SELECT attempts, reason, pid FROM storage_commitments"
            )
            return attempts == times and pid is None and reason

        assert "MODALITY" in await wait_until_async(lambda: tried(1))
        async with db.session() as session:
            (one,) = await open_commitments(session)
        assert (one.state, one.aetitle, one.count, one.attempts) == ("reporting", "MODALITY", 1, 1)
        assert one.next_on is not None
        assert f"it is tried again at {one.next_on:%Y-}" in caplog.text
        async with Modality(port) as modality:
            modality.answer = Status.PROCESSING_FAILURE
            await due_now(db)
            assert "0x0110" in await wait_until_async(lambda: tried(2))
            modality.answer = Status.SUCCESS
            await due_now(db)
            await ended(db, "done")
            assert len(modality.reports) == 2


@on_sqlite
async def test_a_report_that_nobody_takes_is_given_up_after_its_time(db, tmp_path, images):
    answer = {"commit_give_up": "1s"}
    async with committing_node(db, tmp_path / "dicom", free_port(), answer=answer) as node:
        await ask_and_leave(node, references(images))
        await ended(db, "given_up")


async def test_a_request_that_comes_again_is_found_out_again_and_another_one_is_refused(
    db, tmp_path, images
):
    transaction = a_transaction()
    async with committing_node(db, tmp_path / "dicom", free_port()) as node:
        await store(node, images)
        first = await ask_and_stay(node, references(images[:3]), transaction)
        again = await ask_and_stay(node, references(images[2::-1]), transaction)
        assert again == first
        refused = await ask_and_leave(node, references(images), transaction)
        assert refused == Status.DUPLICATE_TRANSACTION
        await ended(db, "done")
        paths = dict(await rows(db, "SELECT image_uid, filepath FROM images"))
        damaged, missing, sound = images[:3]
        path = Path(paths[damaged.sop_instance_uid])
        path.write_bytes(path.read_bytes()[:-1])
        Path(paths[missing.sop_instance_uid]).unlink()
        third = await ask_and_stay(node, references(images[:3]), transaction)
        assert third.committed == references([sound])
        assert dict(third.failed) == {
            references([damaged])[0]: 0x0110,
            references([missing])[0]: 0x0112,
        }
        await ended(db, "done")
    counts = "SELECT objects, committed, failed FROM storage_commitments"
    assert await rows(db, counts) == [(3, 1, 2)]


@on_sqlite
async def test_the_report_waits_for_what_is_not_indexed_yet(db, tmp_path, images, monkeypatch):
    free, index = asyncio.Event(), Indexer._index

    async def later(self, batch):
        await free.wait()
        await index(self, batch)

    monkeypatch.setattr(Indexer, "_index", later)
    async with committing_node(db, tmp_path / "dicom", free_port()) as node:
        await store(node, images)
        unknown = Reference(CTImageStorage, "1.2.3.4")
        asking = asyncio.create_task(ask_and_stay(node, [*references(images), unknown]))

        async def settled():
            return await rows(db, "SELECT 1 FROM storage_commitment_items WHERE outcome = 274")

        await wait_until_async(settled)  # what is not there is known at once
        assert not asking.done()
        free.set()
        report = await asking
    assert sorted(report.committed) == sorted(references(images))
    assert report.failed == [(unknown, 0x0112)]


async def test_what_is_not_indexed_in_time_has_failed(sqlite, tmp_path, images, monkeypatch):
    async def never(self, batch):
        await asyncio.Event().wait()

    monkeypatch.setattr(Indexer, "_index", never)
    answer = {"commit_wait": "1s"}
    async with committing_node(sqlite, tmp_path / "dicom", free_port(), answer=answer) as node:
        await store(node, images)
        report = await ask_and_stay(node, references(images))
        monkeypatch.undo()
    assert {reason for _, reason in report.failed} == {0x0110}
    assert len(report.failed) == 4


@on_sqlite
async def test_who_may_not_ask_has_its_context_refused(db, tmp_path, images):
    rights = {"may_commit": []}
    async with committing_node(db, tmp_path / "dicom", free_port(), modality=rights) as node:
        with pytest.raises(PeerRefused, match="accepts none of what we need: Storage Commitment"):
            await ask_and_leave(node, references(images))
    assert await rows(db, "SELECT 1 FROM storage_commitments") == []


@on_sqlite
async def test_who_only_reports_is_not_said_to_lack_the_right_to_ask(db, tmp_path, caplog):
    caplog.set_level("INFO")
    rights = {"may_commit": []}
    async with committing_node(db, tmp_path / "dicom", free_port(), modality=rights) as node:
        async with associate_to_commit(node, as_provider=True):
            pass
        assert "may not commit" not in caplog.text
        with pytest.raises(PeerRefused):
            await ask_and_leave(node, [])
        assert "MODALITY may not commit: it is peers.modality" in caplog.text
        with pytest.raises(PeerRefused):
            await ask_and_leave(replace(node, calling_aetitle="MODALTY"), [])
        assert (
            "no peer has that AE title; did you mean 'MODALITY'?; peers.<name>.may_commit"
            in caplog.text
        )


async def test_an_object_of_which_the_sender_sent_another_one_is_not_committed(
    db, tmp_path, images
):
    first = images[0]
    async with committing_node(db, tmp_path / "dicom", free_port()) as node:
        await store(node, [first])
        await indexed(db, 1)
        changed = bytearray(first.path.read_bytes())
        changed[-1] ^= 1
        first.path.write_bytes(changed)
        await store(node, [first])
        report = await ask_and_stay(node, references([first]))
    assert report.failed == [(references([first])[0], 0x0110)]


async def test_each_who_sent_what_is_in_quarantine_is_told_that_it_is_not_committed(
    db, tmp_path, images
):
    first, *_ = images
    others = ["FIRST", "SECOND", "THIRD"]
    rights = {"may_store": ["MODALITY"]}
    async with committing_node(
        db, tmp_path / "dicom", free_port(), modality=rights, others=others
    ) as node:
        await store(replace(node, calling_aetitle="FIRST"), [first])
        await indexed(db, 1)
        changed = bytearray(first.path.read_bytes())
        changed[-1] ^= 1
        first.path.write_bytes(changed)
        for sender in ("SECOND", "MODALITY", "THIRD", "MODALITY"):
            await store(replace(node, calling_aetitle=sender), [first])
        kept = "SELECT source, also_from FROM quarantine"
        several = [("SECOND", "MODALITY\\THIRD")]
        await wait_until_async(partial(_are, db, kept, several))
        report = await ask_and_stay(node, references([first]))
    assert report.failed == [(references([first])[0], 0x0110)]


async def _are(database, query, expected):
    return await rows(database, query) == expected


@on_sqlite
async def test_what_a_peer_sent_under_another_of_its_titles_counts_as_what_it_sent(
    db, tmp_path, images
):
    first, *_ = images
    rights = {"aetitle": "MODS", "may_store": ["MODS"], "may_commit": ["MODALITY"]}
    async with committing_node(db, tmp_path / "dicom", free_port(), modality=rights) as node:
        sends = replace(node, calling_aetitle="MODS")
        await store(sends, [first])
        await indexed(db, 1)
        changed = bytearray(first.path.read_bytes())
        changed[-1] ^= 1
        first.path.write_bytes(changed)
        await store(sends, [first])
        report = await ask_and_stay(node, references([first]))
    assert report.failed == [(references([first])[0], 0x0110)]


async def test_who_is_not_shown_an_object_is_not_told_that_it_is_here(db, tmp_path, images):
    stored, unseen = images[:2], images[2:]
    rights = {"aetitle": "MODS", "may_commit": ["MODALITY"], "only_modalities": ["CT"]}
    async with committing_node(db, tmp_path / "dicom", free_port(), modality=rights) as node:
        await store(replace(node, calling_aetitle="MODS"), stored)
        await store(replace(node, calling_aetitle="ANOTHER"), unseen)
        await indexed(db, 4)
        other_class = references(unseen[:1], CTImageStorage)
        report = await ask_and_stay(node, [*references(images), *other_class])
        assert sorted(report.committed) == sorted(references(stored)), "they are its own"
        assert dict(report.failed) == dict.fromkeys([*references(unseen), *other_class], 0x0112)


@on_sqlite
async def test_other_requests_are_answered_while_a_report_is_waited_for(db, tmp_path, images):
    async with committing_node(db, tmp_path / "dicom", free_port()) as node:
        await store(node, images)
        async with associate_to_commit(node) as association:
            statuses = [await request(association, references(images)) for _ in range(3)]
            assert statuses == [Status.SUCCESS] * 3
            taken = []

            async def take(report):
                taken.append(report.transaction_uid)
                return Status.SUCCESS

            async with asyncio.timeout(10):
                for _ in range(3):
                    assert await association.wait_for_report(take)
    assert len(set(taken)) == 3


@on_sqlite
async def test_what_was_taken_before_the_node_ended_is_reported_by_the_next_one(
    db, tmp_path, images
):
    async with Modality() as modality:
        port, gone = modality.port, free_port()
        async with committing_node(db, tmp_path / "dicom", gone) as node:
            await store(node, images)
            await ask_and_leave(node, references(images))
        await due_now(db)
        async with committing_node(db, tmp_path / "dicom", port):
            await wait_until_async(lambda: modality.reports)
            await ended(db, "done")
    assert sorted(modality.reports[0].committed) == sorted(references(images))


async def test_what_an_earlier_process_has_received_is_looked_at_before_anything_is_committed(
    db, tmp_path, images, monkeypatch
):
    first, *_ = images
    looked, index, look = asyncio.Event(), Indexer._index, CommittedFiles._go_through

    async def later(self, batch):
        await looked.wait()
        await index(self, batch)

    async def once(self, *args, **more):
        found = await look(self, *args, **more)
        looked.set()
        return found

    rights = {"may_store": ["MODALITY"]}
    async with Modality() as modality:
        port, gone = modality.port, free_port()
        settings = {"modality": rights, "others": ["FIRST"]}
        async with committing_node(db, tmp_path / "dicom", gone, **settings) as node:
            await store(replace(node, calling_aetitle="FIRST"), [first])
            await indexed(db, 1)
            monkeypatch.setattr(Indexer, "_index", later)
            changed = bytearray(first.path.read_bytes())
            changed[-1] ^= 1
            first.path.write_bytes(changed)
            await store(node, [first])
            await ask_and_leave(node, references([first]))
        assert not looked.is_set()
        monkeypatch.setattr(CommittedFiles, "_go_through", once)
        async with committing_node(db, tmp_path / "dicom", port, **settings):
            await wait_until_async(lambda: modality.reports)
    assert modality.reports[0].failed == [(references([first])[0], 0x0110)]


async def test_of_two_nodes_on_one_database_one_reports(db, tmp_path, images):
    async with Modality(node="HERE") as modality:
        there = committing_node(db, tmp_path / "there", modality.port, aetitle="THERE")
        here = committing_node(db, tmp_path / "here", modality.port, aetitle="HERE")
        async with there, here as node:
            await store(node, images)
            for _ in range(6):
                assert await ask_and_leave(node, references(images)) == Status.SUCCESS
            await wait_until_async(lambda: len(modality.reports) == 6)
            await ended(db, "done")
        assert all(len(report.committed) == 4 for report in modality.reports)
    assert len({report.transaction_uid for report in modality.reports}) == 6
    assert await rows(db, "SELECT DISTINCT node, attempts FROM storage_commitments") == [
        ("HERE", 1)
    ]


async def test_a_node_reports_what_another_one_has_found_out(db, tmp_path, images):
    async with committing_node(db, tmp_path / "here", free_port(), aetitle="HERE") as node:
        await store(node, images)
        await ask_and_leave(node, references(images))

        async def tried():
            return await rows(db, "SELECT 1 FROM storage_commitments WHERE attempts = 1")

        await wait_until_async(tried)
    await due_now(db)
    async with Modality(node="THERE") as modality:
        there = committing_node(db, tmp_path / "there", modality.port, aetitle="THERE")
        async with there:
            await ended(db, "done")
    assert sorted(modality.reports[0].committed) == sorted(references(images))
