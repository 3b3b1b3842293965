"""What a query may do beyond the baseline is proposed, and what the peer answers is read."""

import asyncio

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
)

from node.errors import PeerRefused
from node.net.dimse.contexts import Service
from node.net.messages import Peer, Timeouts
from node.net.scu.requestor import QueryExtension, associate
from tests.support.processes import free_port


@pytest.fixture
def find_scp():
    """Start a peer that answers proposals as it is told; returns it, and what it was proposed."""
    servers = []

    def start(answer):
        proposed = []

        def extended(event):
            proposed.append(dict(event.app_info))
            return dict.fromkeys(event.app_info, answer) if answer is not None else {}

        def find(event):
            match = Dataset()
            match.PatientID = str(event.request.AffectedSOPClassUID)
            yield 0xFF00, match
            yield 0x0000, None

        entity = AE("PACS")
        entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        entity.add_supported_context(PatientRootQueryRetrieveInformationModelFind)
        handlers = [(evt.EVT_SOP_EXTENDED, extended), (evt.EVT_C_FIND, find)]
        port = free_port()
        servers.append(entity.start_server(("127.0.0.1", port), False, evt_handlers=handlers))
        peer = Peer(
            name="pacs",
            aetitle="PACS",
            host="127.0.0.1",
            port=port,
            calling_aetitle="ME",
            timeouts=Timeouts(connect=2, acse=5, dimse=5, network=5),
        )
        return peer, proposed

    yield start
    for server in servers:
        server.shutdown()


ALL = QueryExtension(relational=True, combined=True, fuzzy=True)


@pytest.mark.parametrize(
    ("answer", "agreed"),
    [
        (b"\x01\x00\x01\x00\x00", QueryExtension(relational=True, fuzzy=True)),
        (b"\x01", QueryExtension(relational=True)),
        (b"\x01\x01\x01", ALL),
        (b"", QueryExtension()),
        (None, QueryExtension()),
    ],
)
async def test_only_what_the_peer_agrees_to_is_agreed(find_scp, answer, agreed):
    peer, proposed = find_scp(answer)
    async with associate(peer, Service.FIND, extended={Service.FIND: ALL}) as association:
        assert association.agreed(Service.FIND, ALL) == agreed
        few = QueryExtension(fuzzy=True)
        assert association.agreed(Service.FIND, few).relational is False, "it was not proposed"
    assert proposed == [{StudyRootQueryRetrieveInformationModelFind: b"\x01\x01\x01"}]


async def test_nothing_is_proposed_where_nothing_is_wanted(find_scp):
    peer, proposed = find_scp(b"\x01")
    async with associate(peer, Service.FIND) as association:
        assert association.agreed(Service.FIND, ALL) == QueryExtension()
    assert proposed == [{}] or proposed == []


async def test_a_query_goes_in_the_model_that_is_named(find_scp):
    peer, _ = find_scp(None)
    identifier = Dataset()
    identifier.QueryRetrieveLevel, identifier.PatientID = "PATIENT", ""
    async with associate(peer, Service.PATIENT_FIND) as association:
        answers = association.find(identifier, service=Service.PATIENT_FIND)
        (match,) = [one async for one in answers]
    assert match.PatientID == PatientRootQueryRetrieveInformationModelFind


async def test_what_is_wanted_as_well_need_not_be_accepted(find_scp):
    peer, _ = find_scp(None)
    async with asyncio.timeout(10), associate(peer, Service.FIND, also=[Service.ECHO]) as found:
        accepted = {abstract for abstract, _ in found.accepted_storage}
    assert accepted == {Service.FIND.value}
    with pytest.raises(PeerRefused, match="does not offer Verification"):
        async with associate(peer, Service.FIND, Service.ECHO):
            pass
