"""The application entity: the configuration is in it; what we propose and support comes from it."""

import math
import warnings

import pytest
from pynetdicom.ae import ApplicationEntity

from node.config import Config
from node.dicom.part10 import IMPLEMENTATION_CLASS_UID
from node.net.dimse.contexts import FIND_MODELS, GET_MODELS, MOVE_MODELS, VERIFICATION, Service
from node.net.entity import (
    MAXIMUM_PDU_LENGTH,
    accepting,
    configured,
    deadlines,
    introduction,
    proposal,
    requesting,
)
from node.net.messages import Peer, Services, Timeouts
from node.net.scp.access import Rights
from node.net.scp.agreement import Offer
from node.upperlayer import ProposedContext

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
PRIVATE = "1.3.6.1.4.1.5962.1"
QUERIES = {*FIND_MODELS, *MOVE_MODELS, *GET_MODELS}


async def find(request):
    yield request.identifier


async def nothing(request):
    return ()


def store(request):
    raise NotImplementedError


def everything():
    return Services(store=store, find=find, move=nothing, get=nothing)


def supported(entity):
    return {str(context.abstract_syntax) for context in entity.supported_contexts}


def test_the_configuration_is_in_the_entity():
    config = Config(
        node={
            "aetitle": "ARCHIVE",
            "max_associations": 7,
            "require_called_aetitle": False,
            "allowed_calling": ["CT1", "CT2"],
            "timeouts": {"acse": "3s", "dimse": "4s", "network": "5s"},
        }
    )
    entity = configured(config, Services(store=store))
    assert isinstance(entity, ApplicationEntity)
    assert entity.ae_title == "ARCHIVE"
    assert entity.maximum_associations == 7
    assert not entity.require_called_aet
    assert entity.require_calling_aet == ["CT1", "CT2"]
    assert (entity.acse_timeout, entity.dimse_timeout, entity.network_timeout) == (3, 4, 5)
    assert entity.maximum_pdu_size == MAXIMUM_PDU_LENGTH
    assert entity.implementation_class_uid == IMPLEMENTATION_CLASS_UID
    assert entity.implementation_version_name == "DICOM_NODE"
    assert CT in supported(entity)
    assert not supported(entity) & QUERIES


def test_what_is_offered_decides_about_the_supported_contexts():
    assert supported(accepting("PACS", Services())) == {VERIFICATION}
    assert supported(accepting("PACS", Services(find=find))) == {VERIFICATION, *FIND_MODELS}
    assert supported(accepting("PACS", everything())) > {VERIFICATION, CT, *QUERIES}


def test_a_deadline_that_an_entity_does_not_have_never_comes():
    entity = accepting("PACS", Services(), timeouts=Timeouts(acse=1, dimse=2, network=3))
    entity.network_timeout = None
    limits = deadlines(entity)
    assert (limits.negotiation, limits.message, limits.idle) == (1, 2, math.inf)


def test_an_entity_that_stores_takes_every_storage_class_in_every_transfer_syntax():
    offer = Offer(accepting("PACS", everything()), held=lambda _: ())
    for uid in (CT, PRIVATE, "1.2.840.10008.5.1.4.1.1.9999"):
        assert offer.takes(uid, Rights())
        assert offer.choose(uid, (JPEG_2000, EXPLICIT), gives=False) == JPEG_2000
        assert not offer.takes(uid, Rights(store=False))
        assert not offer.gives(uid, Rights(retrieve=False))
    printing = "1.2.840.10008.5.1.1.9"
    assert not offer.takes(printing, Rights())
    query = next(iter(FIND_MODELS))
    assert offer.choose(query, (JPEG_2000, IMPLICIT), gives=False) == IMPLICIT
    assert offer.choose(query, (JPEG_2000,), gives=False) is None


def test_an_entity_that_does_not_store_takes_no_storage_class():
    offer = Offer(accepting("PACS", Services(get=nothing)), held=lambda _: ())
    assert not offer.takes(CT, Rights())
    assert offer.gives(CT, Rights())


def peer(**changes):
    values = {"name": "pacs", "aetitle": "PACS", "host": "pacs.example", "port": 104}
    return Peer(**values, calling_aetitle="ME", **changes)


def test_a_requestor_has_the_peers_title_for_us_and_its_deadlines():
    timeouts = Timeouts(connect=1, acse=2, dimse=3, network=4)
    entity = requesting(peer(timeouts=timeouts), [Service.ECHO])
    assert entity.ae_title == "ME"
    assert entity.connection_timeout == 1
    assert (entity.acse_timeout, entity.dimse_timeout, entity.network_timeout) == (2, 3, 4)
    assert introduction(entity).maximum_length == MAXIMUM_PDU_LENGTH


def test_each_storage_pair_is_proposed_in_a_context_of_its_own():
    entity = requesting(peer(), [Service.FIND], [(CT, JPEG_2000), (CT, EXPLICIT), (CT, EXPLICIT)])
    assert proposal(entity) == (
        ProposedContext(
            id=1, abstract_syntax=Service.FIND.value, transfer_syntaxes=(EXPLICIT, IMPLICIT)
        ),
        ProposedContext(id=3, abstract_syntax=CT, transfer_syntaxes=(EXPLICIT,)),
        ProposedContext(id=5, abstract_syntax=CT, transfer_syntaxes=(JPEG_2000,)),
    )


def test_what_a_file_calls_a_uid_is_proposed_as_it_is_unless_it_is_too_long_for_one():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        entity = requesting(peer(), (), [("no.uid", "1.02"), (CT, "1" * 65), ("2" * 65, EXPLICIT)])
    assert [context.abstract_syntax for context in proposal(entity)] == ["no.uid"]


def test_an_association_has_at_most_128_contexts():
    pairs = [(f"{PRIVATE}.{number}", EXPLICIT) for number in range(129)]
    assert len(proposal(requesting(peer(), (), pairs[:128]))) == 128
    with pytest.raises(ValueError, match="at most 128"):
        requesting(peer(), (), pairs)
