"""The questions of a plan as they are put: the windows, and what their answers show at once."""

from collections.abc import Generator

from node.dicom.query import StudyQuery
from node.ops.finding.planning.knowledge import Knowledge
from node.ops.finding.planning.rules.judging import judge
from node.ops.finding.planning.rules.ruling import Ruled
from node.ops.finding.planning.tree import Ask, Heard, Node, Steps

_HOPELESS = 16
"""Windows one after the other that are not answered, after which no more are split."""

AXIS_QUESTIONS = 100
"""Questions that are spent on windows that neither dates nor times split; and one more for each
`OTHERS` of the others."""

OTHERS = 8

UNDATED_QUESTIONS = 30
"""Questions with further keys for the studies without a date, of which they prove nothing."""


class Questions:
    """Puts the questions of a plan.

    Parameters
    ----------
    known
        What is known of the peer; it learns from each answer.

    Attributes
    ----------
    nodes
        The windows, in the order in which they were first asked.
    touched
        Those whose standing may have changed; who looks at them empties it.
    lost
        No question will be answered any more.
    """

    def __init__(self, known: Knowledge) -> None:
        self.known = known
        self.nodes: list[Node] = []
        self.touched: list[Node] = []
        self.lost = False
        self._unanswered = 0
        self._undated_questions = UNDATED_QUESTIONS
        self._doubted: set[int] = set()
        self._axis_questions: float = AXIS_QUESTIONS

    @property
    def are_vain(self) -> bool:
        """Whether narrower windows are not answered either."""
        return self.lost or self._unanswered >= _HOPELESS

    def may_use_keys(self, node: Node) -> bool:
        """Tell whether there are questions left for a window that neither dates nor times split."""
        if node.query.window.undated and self._undated_questions < 1:
            return False
        return self._axis_questions >= 1

    def is_open(self, node: Node) -> bool:
        """Tell whether a window is to be asked in parts."""
        if node.children or node.stuck or node.answer is None:
            return False
        return judge(node, self.known)[0] in {Ruled.SPLIT, Ruled.DOUBT, Ruled.SAMPLE}

    def open(self) -> list[Node]:
        """Return the windows that are to be asked in parts."""
        return [node for node in self.nodes if self.is_open(node)]

    def touch_below(self, node: Node) -> None:
        """Look at a window again, and at all that are parts of it."""
        self.touched += [
            one for one in self.nodes[node.key :] if one is node or node in one.above()
        ]

    def add(self, query: StudyQuery, parent: Node | None, by: str, *, aside: bool = False) -> Node:
        """Add a window; one that is asked `aside` is no part of its parent, and never split."""
        node = Node(
            key=len(self.nodes),
            query=query,
            parent=parent,
            by=by,
            stuck=aside,
            aside=aside,
            expected=self.known.expected.at_least(query),
        )
        self.nodes.append(node)
        if parent is not None and not aside:
            parent.children.append(node)
        return node

    def put(self, node: Node) -> Steps:
        """Ask for one window, and again as often as it makes sense."""
        along_axis = node.is_along_axis
        if node.answer is not None and node.answer.answered:
            node.attempts = 0  # it is asked for another reason than that it had failed
        while True:
            node.attempts += 1
            self._axis_questions -= 1 if along_axis else -1 / OTHERS
            self._undated_questions -= along_axis and node.query.window.undated
            answer = yield Ask(node=node, attempt=node.attempts)
            node.take(answer)
            self.lost = self.lost or answer.lost
            self._unanswered = 0 if answer.answered else self._unanswered
            self.known.learn(node)
            self.touched.append(node)
            if self.lost or judge(node, self.known)[0] is not Ruled.AGAIN:
                break
        part_of_day = node.by not in {"", "dates"} and (self.known.timed or node.by != "times")
        if not answer.answered and not part_of_day:
            self._unanswered += 1
        if node.size:
            yield from self._doubt_nothing(node)

    def _doubt_nothing(self, node: Node) -> Steps:
        """Ask once more for what brought nothing where a part of it has brought something.

        A study may have come meanwhile; else the peer says nothing where it has something. Of one
        that does so again it is known.
        """
        known = self.known
        nothing = [one for one in node.above() if one.is_zero]
        if not nothing or self.lost:
            return
        widest = nothing[-1]
        if known.is_to_be_seen_silent and widest.key not in self._doubted:
            self._doubted.add(widest.key)
            yield from self.put(widest)
        if widest.is_zero:
            known.learn_of_silence(nothing)

    def put_aside(
        self, query: StudyQuery, node: Node, by: str
    ) -> Generator[Ask, Heard, Heard | None]:
        """Ask what is no part of a window; return what was answered to the end."""
        yield from self.put(aside := self.add(query, node, by, aside=True))
        return aside.answer if aside.answer is not None and aside.answer.answered else None
