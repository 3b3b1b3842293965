"""SOP Class Extended Negotiation (PS3.7 D.3.3.5): what the node agrees to of what is asked for."""

import pytest

from node.net.dimse.contexts import PATIENT_ROOT_FIND, Service
from node.net.entity import accepting
from node.net.messages import Services
from node.net.scp.access import ALL, STORE_ONLY
from node.net.scp.agreement import Agreement, Offer
from node.upperlayer.associate import AssociateRequest, ProposedContext, UserInformation

IMPLICIT = "1.2.840.10008.1.2"
CLASSES = (Service.ECHO.value, Service.FIND.value, Service.MOVE.value, Service.GET.value)


async def nothing(request):
    return []


def agreement(extended, *, rights=ALL, relational=True):
    services = Services(find=nothing, move=nothing, get=nothing, relational=relational)
    request = AssociateRequest(
        called_aetitle="NODE",
        calling_aetitle="ME",
        contexts=tuple(
            ProposedContext(id=2 * i + 1, abstract_syntax=uid, transfer_syntaxes=(IMPLICIT,))
            for i, uid in enumerate(CLASSES)
        ),
        user=UserInformation(extended=extended),
    )
    offer = Offer(accepting("NODE", services), services.held, relational=relational)
    return Agreement(request, offer, rights)


@pytest.mark.parametrize(
    ("service", "asked", "granted"),
    [
        (Service.FIND, b"\1", b"\1"),
        (Service.FIND, b"\1\1\1\1\1\1\1", b"\1\1\0\0\0"),
        (Service.FIND, b"\0\1\1", b"\0\1\0"),
        (Service.FIND, b"\2\2", b"\0\0"),
        (Service.MOVE, b"\1", b"\1"),
        (Service.MOVE, b"\1\1", b"\1"),
        (Service.GET, b"\0", b"\0"),
    ],
)
def test_what_is_agreed_to(service, asked, granted):
    agreed = agreement(((service.value, asked),))
    assert agreed.accept.user.extended == ((service.value, granted),)
    assert agreed.extended(service.value) == granted
    assert agreed.relational(2 * CLASSES.index(service.value) + 1) is (granted[:1] == b"\1")
    assert agreed.combined(3) is (service is Service.FIND and granted[1:2] == b"\1")


@pytest.mark.parametrize(
    ("extended", "options"),
    [
        ((), {}),
        (((Service.FIND.value, b""),), {}),
        (((Service.ECHO.value, b"\1"),), {}),
        (((PATIENT_ROOT_FIND, b"\1"),), {}),
        (((Service.MOVE.value, b"\1"),), {"rights": STORE_ONLY}),
        (((Service.MOVE.value, b"\1"),), {"relational": False}),
    ],
    ids=["nothing asked", "no bytes", "not of queries", "not proposed", "no right", "not offered"],
)
def test_what_is_not_answered(extended, options):
    agreed = agreement(extended, **options)
    assert agreed.accept.user.extended == ()
    assert not any(agreed.relational(id_) for id_ in (1, 3, 5, 7))
