"""A-ASSOCIATE PDUs: round trips, pynetdicom's codec beside ours, and what odd peers send."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    AsynchronousOperationsWindowNegotiation,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.presentation import PresentationContext

from node.upperlayer import (
    AssociateAccept,
    AssociateRequest,
    ContextResult,
    InvalidPDU,
    LocalMistake,
    ProposedContext,
    RoleSelection,
    UserInformation,
)
from node.upperlayer.associate_pdus import (
    decode_accept,
    decode_request,
    encode_accept,
    encode_request,
)
from tests.unit.upperlayer import wire
from tests.unit.upperlayer.wire import EXPLICIT, IMPLICIT, MR, VERIFICATION

HEADER = 6

# Values

components = st.integers(0, 10**8).map(str)
uids = st.lists(components, min_size=2, max_size=6).map(lambda parts: "1.2." + ".".join(parts))
titles = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="\\"),
    min_size=1,
    max_size=16,
)
roles = st.builds(RoleSelection, sop_class_uid=uids, scu=st.booleans(), scp=st.booleans())
user_information = st.builds(
    UserInformation,
    maximum_length=st.integers(0, 2**32 - 1),
    implementation_class_uid=uids,
    implementation_version_name=titles,
    asynchronous_window=st.none() | st.tuples(st.integers(0, 65535), st.integers(0, 65535)),
    roles=st.lists(roles, max_size=5).map(tuple),
    extended=st.lists(st.tuples(uids, st.binary(max_size=20)), max_size=3).map(tuple),
)
ids = st.lists(st.integers(0, 127).map(lambda n: 2 * n + 1), unique=True, max_size=128)
requests = ids.flatmap(
    lambda numbers: st.builds(
        AssociateRequest,
        called_aetitle=titles,
        calling_aetitle=titles,
        contexts=st.tuples(
            *(
                st.builds(
                    ProposedContext,
                    id=st.just(number),
                    abstract_syntax=uids,
                    transfer_syntaxes=st.lists(uids, min_size=1, max_size=3).map(tuple),
                )
                for number in numbers[:8]
            )
        ),
        user=user_information,
        application_context=uids,
        protocol_version=st.integers(0, 65535),
    )
)
accepts = ids.flatmap(
    lambda numbers: st.builds(
        AssociateAccept,
        called_aetitle=titles,
        calling_aetitle=titles,
        contexts=st.tuples(
            *(
                st.builds(
                    ContextResult,
                    id=st.just(number),
                    result=st.just(0),
                    transfer_syntax=uids,
                )
                for number in numbers[:8]
            )
        ),
        user=user_information,
    )
)


@given(requests)
@settings(max_examples=60, deadline=None)
def test_a_request_comes_back_as_it_went(request):
    assert decode_request(encode_request(request)) == request


@given(accepts)
@settings(max_examples=60, deadline=None)
def test_an_acceptance_comes_back_as_it_went(accept):
    assert decode_accept(encode_accept(accept)) == accept


def test_the_bytes_are_those_of_the_standard():
    implementation = wire.item(0x52, b"1.2.3")
    name = wire.fixed() + wire.item(0x10, wire.APPLICATION_CONTEXT.encode())
    sub_items = wire.user(implementation)
    assert encode_request(wire.PROPOSAL) == name + b"".join(wire.CONTEXTS) + sub_items
    assert encode_accept(wire.ACCEPT) == name + b"".join(wire.RESULTS) + sub_items


def test_128_contexts_with_many_transfer_syntaxes_come_back():
    contexts = tuple(
        ProposedContext(
            id=number,
            abstract_syntax=f"1.2.840.10008.5.1.4.1.1.{number}",
            transfer_syntaxes=tuple(f"1.2.840.10008.1.2.4.{n}" for n in range(60)),
        )
        for number in range(1, 256, 2)
    )
    request = AssociateRequest(called_aetitle="A", calling_aetitle="B", contexts=contexts)
    assert decode_request(encode_request(request)) == request


@pytest.mark.parametrize("result", [1, 2, 3, 4])
def test_a_rejected_context_says_nothing_of_a_transfer_syntax(result):
    for rest in (wire.item(0x40, IMPLICIT.encode()), b"", b"\x40\0\xff\xff1.2"):
        body = wire.fixed() + wire.item(0x21, bytes((1, 0, result, 0)) + rest)
        assert decode_accept(body).contexts == (
            ContextResult(id=1, result=result, transfer_syntax=""),
        )


# Role selection, the window, user identity, extended negotiation


@pytest.mark.parametrize(("scu", "scp"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_roles_pass_through_both_ways(scu, scp):
    role = RoleSelection(sop_class_uid=MR, scu=bool(scu), scp=bool(scp))
    user = UserInformation(roles=(role,))
    request = AssociateRequest(called_aetitle="A", calling_aetitle="B", contexts=(), user=user)
    accept = AssociateAccept(called_aetitle="A", calling_aetitle="B", contexts=(), user=user)
    # PS3.7 Table D.3-9: length and UID, then a byte for each role
    expected = wire.item(0x54, struct.pack(">H", len(MR)) + MR.encode() + bytes((scu, scp)))
    for body in (encode_request(request), encode_accept(accept)):
        assert expected in body
    assert decode_request(encode_request(request)).user.roles == (role,)
    assert decode_accept(encode_accept(accept)).user.roles == (role,)


def test_an_acceptance_without_roles_has_none():
    """Whoever proposed them keeps the default ones then (PS3.7 D.3.3.4)."""
    assert decode_accept(wire.ac()[HEADER:]).user.roles == ()


@pytest.mark.parametrize("kind", range(1, 6))
@pytest.mark.parametrize("wanted", [False, True])
def test_a_user_identity_is_noticed_and_not_kept(kind, wanted):
    """PS3.7 D.3.3.7: who is asked does not answer; who asked decides what that means."""
    secret = b"somebody" if kind == 1 else b"a secret"
    content = bytes((kind, wanted)) + struct.pack(">H", len(secret)) + secret
    content += struct.pack(">H", 3) + b"pin" if kind == 2 else bytes(2)
    body = wire.rq(users=wire.user(wire.item(0x58, content)))[HEADER:]
    user = decode_request(body).user
    assert (user.user_identity, user.identity_response_wanted) == (True, wanted)
    assert "secret" not in repr(user)


@pytest.mark.parametrize("content", [b"", b"\1"])
def test_a_user_identity_cut_short_is_one_that_wants_no_answer(content):
    user = decode_request(wire.rq(users=wire.user(wire.item(0x58, content)))[HEADER:]).user
    assert (user.user_identity, user.identity_response_wanted) == (True, False)


def test_an_answer_to_a_user_identity_is_passed_over():
    body = wire.fixed() + wire.user(wire.item(0x59, b"\0\4ok!!"))
    assert decode_accept(body).user == UserInformation(maximum_length=wire.LIMIT)


def test_extended_negotiation_passes_through_whatever_it_says():
    information = bytes(range(256))
    content = struct.pack(">H", len(MR)) + MR.encode() + information
    common = wire.item(0x57, struct.pack(">H", len(MR)) + MR.encode() + bytes(4))
    body = wire.rq(users=wire.user(wire.item(0x56, content), common))[HEADER:]
    request = decode_request(body)
    assert request.user.extended == ((MR, information),)
    assert decode_request(encode_request(request)).user.extended == ((MR, information),)


# pynetdicom's codec


def theirs(user: list[object], *, contexts: list[PresentationContext]) -> A_ASSOCIATE:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = wire.APPLICATION_CONTEXT
    primitive.calling_ae_title, primitive.called_ae_title = "PEER", "NODE"
    maximum = MaximumLengthNotification()
    maximum.maximum_length_received = 16382
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = "1.2.3.4"
    primitive.user_information = [maximum, implementation, *user]
    primitive.presentation_context_definition_list = contexts
    return primitive


def their_user_information() -> list[object]:
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = "PYNET"
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked = 5
    window.maximum_number_operations_performed = 0
    role = SCP_SCU_RoleSelectionNegotiation()
    role.sop_class_uid, role.scu_role, role.scp_role = MR, False, True
    extended = SOPClassExtendedNegotiation()
    extended.sop_class_uid, extended.service_class_application_information = MR, b"\2\0\1"
    common = SOPClassCommonExtendedNegotiation()
    common.sop_class_uid, common.service_class_uid = MR, "1.2.840.10008.4.2"
    common.related_general_sop_class_identification = ["1.2.3"]
    identity = UserIdentityNegotiation()
    identity.user_identity_type, identity.primary_field = 2, b"somebody"
    identity.secondary_field, identity.positive_response_requested = b"pin", True
    return [version, window, role, extended, common, identity]


def their_context(number: int, abstract: str, *syntaxes: str) -> PresentationContext:
    context = PresentationContext()
    context.context_id = number
    context.abstract_syntax = abstract
    context.transfer_syntax = list(syntaxes)
    return context


def test_we_read_what_pynetdicom_asks():
    contexts = [their_context(n, MR, EXPLICIT, IMPLICIT) for n in range(1, 256, 2)]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(theirs(their_user_information(), contexts=contexts))
    assert decode_request(pdu.encode()[HEADER:]) == AssociateRequest(
        called_aetitle="NODE",
        calling_aetitle="PEER",
        contexts=tuple(
            ProposedContext(id=n, abstract_syntax=MR, transfer_syntaxes=(EXPLICIT, IMPLICIT))
            for n in range(1, 256, 2)
        ),
        user=UserInformation(
            maximum_length=16382,
            implementation_class_uid="1.2.3.4",
            implementation_version_name="PYNET",
            asynchronous_window=(5, 0),
            roles=(RoleSelection(sop_class_uid=MR, scu=False, scp=True),),
            extended=((MR, b"\2\0\1"),),
            user_identity=True,
            identity_response_wanted=True,
        ),
    )


def test_we_read_what_pynetdicom_answers():
    contexts = []
    for number, result in ((1, 0), (3, 3), (5, 4)):
        context = their_context(number, MR, EXPLICIT)
        context.result = result
        contexts.append(context)
    primitive = theirs(their_user_information()[:4], contexts=[])
    primitive.presentation_context_definition_results_list = contexts
    primitive.result = 0
    pdu = A_ASSOCIATE_AC()
    pdu.from_primitive(primitive)
    accept = decode_accept(pdu.encode()[HEADER:])
    assert [(one.id, one.result) for one in accept.contexts] == [(1, 0), (3, 3), (5, 4)]
    assert accept.contexts[0].transfer_syntax == EXPLICIT
    assert accept.user.asynchronous_window == (5, 0)
    assert accept.user.roles == (RoleSelection(sop_class_uid=MR, scu=False, scp=True),)
    assert accept.user.extended == ((MR, b"\2\0\1"),)


@given(requests.filter(lambda request: request.contexts))
@settings(max_examples=40, deadline=None)
def test_pynetdicom_reads_what_we_ask(request):
    pdu = A_ASSOCIATE_RQ()
    pdu.decode(wire.pdu(wire.RQ, encode_request(request)))
    assert pdu.called_ae_title == request.called_aetitle
    assert pdu.calling_ae_title == request.calling_aetitle
    assert pdu.protocol_version == request.protocol_version
    assert pdu.application_context_name == request.application_context
    assert [
        (one.context_id, one.abstract_syntax, tuple(one.transfer_syntax))
        for one in pdu.presentation_context
    ] == [(one.id, one.abstract_syntax, one.transfer_syntaxes) for one in request.contexts]
    check_user(pdu, request.user)


@given(accepts.filter(lambda accept: accept.contexts))
@settings(max_examples=40, deadline=None)
def test_pynetdicom_reads_what_we_answer(accept):
    pdu = A_ASSOCIATE_AC()
    pdu.decode(wire.pdu(wire.AC, encode_accept(accept)))
    assert [
        (one.context_id, one.result, one.transfer_syntax) for one in pdu.presentation_context
    ] == [(one.id, one.result, one.transfer_syntax) for one in accept.contexts]
    check_user(pdu, accept.user)


def check_user(pdu: A_ASSOCIATE_RQ | A_ASSOCIATE_AC, user: UserInformation) -> None:
    item = pdu.user_information
    assert item.maximum_length == user.maximum_length
    assert item.implementation_class_uid == user.implementation_class_uid
    assert item.implementation_version_name == user.implementation_version_name
    window = item.async_ops_window
    assert (
        None
        if window is None
        else (
            window.maximum_number_operations_invoked,
            window.maximum_number_operations_performed,
        )
    ) == user.asynchronous_window
    # pynetdicom keeps one role selection for each SOP class
    assert {one.sop_class_uid for one in user.roles} == set(item.role_selection)
    assert [
        (one.sop_class_uid, one.service_class_application_information) for one in item.ext_neg
    ] == list(user.extended)


# Odd peers


def test_items_come_in_any_order_and_unknown_ones_are_passed_over():
    unknown = wire.item(0x77, b"whatever")
    sub_items = wire.user(wire.item(0x99, b"x"), wire.item(0x52, b"1.2.3"))
    body = wire.fixed() + sub_items + unknown + b"".join(reversed(wire.CONTEXTS))
    body += wire.item(0x10, wire.APPLICATION_CONTEXT.encode())
    request = decode_request(body)
    assert [one.id for one in request.contexts] == [3, 1]
    assert request.user.implementation_class_uid == "1.2.3"
    assert request.application_context == wire.APPLICATION_CONTEXT


def test_titles_and_uids_come_with_any_padding():
    titles = b"\0\0 NODE\0".ljust(16, b"\0") + b" PE ER ".ljust(16)
    contexts = wire.item(
        0x20,
        bytes((1, 0, 0, 0))
        + wire.item(0x30, VERIFICATION.encode() + b"\0")
        + wire.item(0x40, IMPLICIT.encode() + b"  "),
    )
    request = decode_request(struct.pack(">HH", 1, 0) + titles + bytes(32) + contexts)
    assert (request.called_aetitle, request.calling_aetitle) == ("NODE", "PE ER")
    assert request.contexts == (
        ProposedContext(id=1, abstract_syntax=VERIFICATION, transfer_syntaxes=(IMPLICIT,)),
    )


def test_sub_items_of_a_wrong_length_are_passed_over():
    odd = wire.item(0x51, b"\1\2") + wire.item(0x53, b"\1")
    body = wire.fixed() + wire.item(0x50, odd)
    assert decode_request(body).user == UserInformation()


def test_a_role_without_its_flags_is_passed_over():
    body = wire.fixed() + wire.user(wire.item(0x54, b"\0\0031.2\1"))
    assert decode_request(body).user.roles == ()


def test_uids_of_any_bytes_can_be_answered():
    accept = AssociateAccept(
        called_aetitle="\xe9",
        calling_aetitle="B",
        contexts=(ContextResult(id=1, result=0, transfer_syntax="\xff\xfe../"),),
    )
    assert decode_accept(encode_accept(accept)) == accept


def test_a_version_name_is_cut_to_its_sixteen_characters():
    user = UserInformation(implementation_version_name="A name of more than sixteen")
    accept = AssociateAccept(called_aetitle="A", calling_aetitle="B", contexts=(), user=user)
    assert decode_accept(encode_accept(accept)).user.implementation_version_name == (
        "A name of more t"
    )


def test_an_item_that_no_length_can_say_is_our_own_mistake():
    user = UserInformation(extended=(("1.2", bytes(65536)),))
    with pytest.raises(LocalMistake, match="16 bits"):
        encode_accept(
            AssociateAccept(called_aetitle="A", calling_aetitle="B", contexts=(), user=user)
        )


# Hostile bytes


@pytest.mark.parametrize("decode", [decode_request, decode_accept])
@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "ends within its fixed part"),
        (wire.fixed()[:-1], "ends within its fixed part"),
        (wire.fixed() + b"\x10\0\0", "header"),
        (wire.fixed() + b"\x10\0\0\5abcd", "longer than what holds it"),
        (wire.fixed() + wire.item(0x50, b"\x51\0\0\5abcd"), "longer than what holds it"),
        (wire.fixed() + wire.user(wire.item(0x54, b"\0")), "too short for its UID"),
        (wire.fixed() + wire.user(wire.item(0x56, b"\0\x051.2")), "longer than the sub-item"),
        (wire.fixed() + wire.item(0x20, b"\1\0\0") + wire.item(0x21, b"\1\0\0"), "too short"),
        (wire.fixed() + 2 * wire.CONTEXTS[0] + 2 * wire.RESULTS[0], "same ID"),
    ],
)
def test_what_cannot_be_understood_is_invalid(decode, body, says):
    with pytest.raises(InvalidPDU, match=says):
        decode(body)


@pytest.mark.parametrize("number", [0, 2, 254])
def test_a_proposed_context_with_an_even_id_is_invalid(number):
    """PS3.8 9.3.2.2."""
    body = wire.rq(wire.CONTEXTS[0], wire.proposed(number, MR, EXPLICIT))[HEADER:]
    with pytest.raises(InvalidPDU, match=f"has the ID {number}, which is even"):
        decode_request(body)


@pytest.mark.parametrize("decode", [decode_request, decode_accept])
def test_no_more_items_are_read_than_a_sane_peer_sends(decode):
    syntaxes = [f"1.2.840.10008.1.2.4.{number}" for number in range(60)]
    contexts = [
        wire.proposed(2 * number + 1, "1.2.3", *syntaxes) + wire.answered(2 * number + 1, 0, "1.2")
        for number in range(128)
    ]
    assert len(decode(wire.fixed() + b"".join(contexts)).contexts) == 128
    some = b"".join(wire.item(0x40, b"") for _ in range(1000))
    many = [
        wire.item(kind, bytes((2 * number + 1, 0, 0, 0)) + some)
        for number in range(9)
        for kind in (0x20, 0x21)
    ]
    with pytest.raises(InvalidPDU, match="more than 8192 items in an A-ASSOCIATE PDU"):
        decode(wire.fixed() + b"".join(many))
    with pytest.raises(InvalidPDU, match="more than 1024 items in one"):
        decode(wire.fixed() + wire.user(wire.item(0x54, b"\0\0\1\1") * 1025))


@pytest.mark.parametrize("decode", [decode_request, decode_accept])
def test_of_several_user_informations_only_the_last_is_read(decode):
    first = wire.item(0x50, wire.item(0x54, b"\0") * 100)
    assert decode(wire.fixed() + first + wire.user(maximum=77)).user.maximum_length == 77


whole = st.sampled_from([wire.rq()[HEADER:], wire.ac()[HEADER:]])


def read_or_refuse(body: bytes) -> None:
    for decode in (decode_request, decode_accept):
        try:
            decode(body)
        except InvalidPDU:
            continue


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=300).map(wire.fixed().__add__)))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_a_pdu_or_invalid(body):
    read_or_refuse(body)


@given(whole, st.data())
@settings(max_examples=150, deadline=None)
def test_a_pdu_with_wrong_bytes_is_a_pdu_or_invalid(body, data):
    changed = bytearray(body)
    for _ in range(data.draw(st.integers(1, 6))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    read_or_refuse(bytes(changed))
