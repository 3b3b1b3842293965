"""What an acceptor answers to a proposal."""

from node.upperlayer import (
    AssociateRequest,
    ContextResult,
    ProposedContext,
    RoleSelection,
    UserInformation,
)
from node.upperlayer.associate import accepted_contexts
from node.upperlayer.negotiation import abstract_syntaxes, agreed_roles, answer
from tests.unit.upperlayer.wire import EXPLICIT, IMPLICIT, JPEG, MR, VERIFICATION

CT = "1.2.840.10008.5.1.4.1.1.2"
US = UserInformation(
    maximum_length=131072,
    implementation_class_uid="1.2.3.4",
    implementation_version_name="NODE",
)


def asked(*contexts: ProposedContext, user: UserInformation | None = None) -> AssociateRequest:
    return AssociateRequest(
        called_aetitle="NODE",
        calling_aetitle="PEER",
        contexts=contexts,
        user=user or UserInformation(),
    )


def context(number: int, abstract: str, *syntaxes: str) -> ProposedContext:
    return ProposedContext(id=number, abstract_syntax=abstract, transfer_syntaxes=syntaxes)


def answered(request: AssociateRequest):
    return answer(
        request,
        supports={VERIFICATION, MR}.__contains__,
        choose=lambda _, proposed: next((u for u in proposed if u in {EXPLICIT, IMPLICIT}), None),
        user=US,
    )


def test_every_context_is_answered_in_order():
    results = answered(
        asked(
            context(1, VERIFICATION, IMPLICIT),
            context(3, "1.2.3", IMPLICIT),
            context(5, MR, JPEG),
            context(7, MR, JPEG, EXPLICIT, IMPLICIT),
            context(9, MR),
        )
    ).contexts
    assert results == (
        ContextResult(id=1, result=0, transfer_syntax=IMPLICIT),
        ContextResult(id=3, result=3, transfer_syntax=IMPLICIT),
        ContextResult(id=5, result=4, transfer_syntax=JPEG),
        ContextResult(id=7, result=0, transfer_syntax=EXPLICIT),
        ContextResult(id=9, result=4, transfer_syntax=""),
    )


def test_all_128_contexts_are_answered():
    contexts = [context(n, MR if n % 4 == 1 else "1.2", EXPLICIT) for n in range(1, 256, 2)]
    results = answered(asked(*contexts)).contexts
    assert [one.id for one in results] == list(range(1, 256, 2))
    assert sum(one.accepted for one in results) == 64


def test_the_titles_come_back_as_they_were():
    accept = answered(asked(context(1, VERIFICATION, IMPLICIT)))
    assert (accept.called_aetitle, accept.calling_aetitle) == ("NODE", "PEER")


def test_a_window_is_answered_by_one_operation_at_a_time():
    window = UserInformation(asynchronous_window=(0, 16))
    assert answered(asked(user=window)).user.asynchronous_window == (1, 1)


def test_a_window_that_was_not_proposed_is_not_answered():
    assert answered(asked()).user.asynchronous_window is None


def test_roles_identity_and_extended_negotiation_are_answered_by_silence():
    user = UserInformation(
        roles=(RoleSelection(sop_class_uid=MR, scu=True, scp=True),),
        extended=((MR, b"\1"),),
        user_identity=True,
        identity_response_wanted=True,
    )
    said = answered(asked(context(1, MR, EXPLICIT), user=user)).user
    assert said == US


def test_the_requestor_may_be_the_scp_of_what_we_would_send_it():
    roles = (
        RoleSelection(sop_class_uid=MR, scu=True, scp=True),
        RoleSelection(sop_class_uid=MR, scu=True, scp=True),
        RoleSelection(sop_class_uid=CT, scu=True, scp=True),
        RoleSelection(sop_class_uid="1.2.3", scu=True, scp=False),
        RoleSelection(sop_class_uid=VERIFICATION, scu=False, scp=True),
    )
    request = asked(
        context(1, MR, EXPLICIT), context(3, CT, EXPLICIT), user=UserInformation(roles=roles)
    )
    agreed = agreed_roles(
        request, supports=lambda uid: uid == MR, sends=lambda uid: uid != VERIFICATION
    )
    assert agreed == (
        RoleSelection(sop_class_uid=MR, scu=True, scp=True),
        RoleSelection(sop_class_uid=CT, scu=False, scp=True),
    )
    said = answer(
        request,
        supports=lambda uid: uid == MR,
        choose=lambda uid, proposed: proposed[0],
        user=US,
        roles=agreed,
    )
    assert said.user.roles == agreed
    assert [result.result for result in said.contexts] == [0, 0]


def test_the_proposals_abstract_syntaxes_are_known_by_their_id():
    request = asked(context(1, VERIFICATION, IMPLICIT), context(3, MR, EXPLICIT))
    assert abstract_syntaxes(request) == {1: VERIFICATION, 3: MR}


def test_only_what_was_proposed_can_be_used():
    proposed = (context(1, VERIFICATION, IMPLICIT), context(3, MR, EXPLICIT, JPEG))
    results = [
        ContextResult(id=1, result=0, transfer_syntax=EXPLICIT),  # another syntax
        ContextResult(id=3, result=0, transfer_syntax=JPEG),
        ContextResult(id=5, result=0, transfer_syntax=IMPLICIT),  # another context
    ]
    assert accepted_contexts(proposed, results) == {3: results[1]}
    assert accepted_contexts(proposed, [ContextResult(id=3, result=1, transfer_syntax=JPEG)]) == {}
