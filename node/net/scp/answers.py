"""Which service answers which request: the acceptor's table.

A new DIMSE service is a module of its own, and a line here.
"""

from functools import partial

from node.net.messages import Services
from node.net.scp.services.commit import answer_commit
from node.net.scp.services.echo import answer_echo
from node.net.scp.services.find import answer_find
from node.net.scp.services.get import answer_get
from node.net.scp.services.move import answer_move
from node.net.scp.services.report import answer_report
from node.net.scp.services.store import answer_store, open_sink
from node.net.scp.session import Answers, Responder
from node.upperlayer import CommandField


def answers_of(services: Services) -> Answers:
    """Return the answers that the handlers of `services` give; what has none is not supported."""
    find = partial(answer_find, services.find)
    move = partial(answer_move, services.move)
    get = partial(answer_get, services.get)
    commit = partial(answer_commit, services.commit)
    report = partial(answer_report, services.report)
    return Answers(
        by_field={
            CommandField.C_ECHO_RQ: Responder(give=answer_echo),
            CommandField.C_STORE_RQ: Responder(give=answer_store),
            CommandField.C_FIND_RQ: Responder(give=find, interruptible=True),
            CommandField.C_MOVE_RQ: Responder(give=move, interruptible=True),
            CommandField.C_GET_RQ: Responder(give=get, interruptible=True),
            CommandField.N_ACTION_RQ: Responder(give=commit),
            CommandField.N_EVENT_REPORT_RQ: Responder(give=report),
        },
        open_sink=partial(open_sink, services.store),
    )
