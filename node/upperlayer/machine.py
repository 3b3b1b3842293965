"""The state of one association: where it is in the standard's table, its timer and its end.

What happens with the peer's PDUs and the local user's requests is in
`node.upperlayer.association`.
"""

from node.upperlayer.errors import LocalMistake
from node.upperlayer.framing import PDUType
from node.upperlayer.states import TRANSITIONS, Action, Cause, Role, State

CAUSES = {
    PDUType.ASSOCIATE_RQ: Cause.ASSOCIATE_RQ_PDU,
    PDUType.ASSOCIATE_AC: Cause.ASSOCIATE_AC_PDU,
    PDUType.ASSOCIATE_RJ: Cause.ASSOCIATE_RJ_PDU,
    PDUType.RELEASE_RQ: Cause.RELEASE_RQ_PDU,
    PDUType.RELEASE_RP: Cause.RELEASE_RP_PDU,
    PDUType.ABORT: Cause.ABORT_PDU,
}
"""What each PDU is to the machine, when it comes."""


class Machine:
    """Goes from state to state (PS3.8 section 9.2).

    Parameters
    ----------
    role
        Who asked for the association.

    Attributes
    ----------
    state
        PS3.8 section 9.2.1.
    artim_running
        Whether the ARTIM timer is to run.
    artim_starts
        How often it has been started: AA-1 starts a running one again.
    close_transport
        Whether the transport is to be closed, once the output is written.
    """

    def __init__(self, role: Role) -> None:
        self.role = role
        self.state = State.IDLE
        self.artim_running = False
        self.artim_starts = 0
        self.close_transport = False

    @property
    def is_established(self) -> bool:
        """Whether messages can be sent."""
        return self.state is State.ESTABLISHED

    def _step(self, cause: Cause) -> Action:
        """Go from one state to the next, and return the action that this asks for."""
        try:
            action, self.state = TRANSITIONS[self.state, cause]
        except KeyError:
            raise LocalMistake(f"{cause.name} cannot happen in {self.state.name}") from None
        if action is Action.AE_5:
            self._start_artim()
        elif action in (Action.AR_5, Action.AA_5):
            self._stop_artim()
        elif action is Action.AA_2:
            self._close()
        return action

    def _start_artim(self) -> None:
        self.artim_running = True
        self.artim_starts += 1

    def _stop_artim(self) -> None:
        self.artim_running = False

    def _close(self) -> None:
        self._stop_artim()
        self.close_transport = True
