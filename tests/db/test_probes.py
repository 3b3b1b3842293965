"""What was found out about a peer is a row; the newest is in force until something contradicts."""

from schema.finding.profiles import keep_probe, mark_stale, newest_probes

FACTS = {"cap": {"value": 500, "how": "answered 500 twice", "learned_on": "2024-01-02T00:00:00Z"}}


async def kept(db, peer, facts=FACTS, questions=30):
    async with db.begin() as session:
        await keep_probe(session, peer=peer, facts=facts, questions=questions)


async def newest(db, *peers):
    async with db.session() as session:
        return await newest_probes(session, peers)


async def test_the_newest_probe_of_each_peer_is_in_force(db):
    await kept(db, "pacs", {"cap": None})
    await kept(db, "other", questions=7)
    await kept(db, "pacs")
    found = await newest(db)
    assert list(found) == ["other", "pacs"]
    assert (found["pacs"].facts, found["pacs"].questions) == (FACTS, 30)
    assert list(await newest(db, "other")) == ["other"]
    assert await newest(db, "nobody") == {}


async def test_a_contradicted_probe_is_stale_with_its_first_reason_until_the_next_one(db):
    await kept(db, "pacs")
    await kept(db, "other")
    async with db.begin() as session:
        assert await mark_stale(session, "pacs", "it answered 501\0 studies")
        assert not await mark_stale(session, "pacs", "it did something else")
        assert not await mark_stale(session, "nobody", "it is not there")
    found = await newest(db)
    assert found["pacs"].stale_reason == "it answered 501\N{REPLACEMENT CHARACTER} studies"
    assert found["pacs"].stale_on >= found["pacs"].probed_on
    assert found["other"].stale_on is None
    await kept(db, "pacs")
    assert (await newest(db))["pacs"].stale_reason is None
