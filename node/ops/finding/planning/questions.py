"""The questions of a plan as they are put: the windows, and what their answers show at once."""

from collections.abc import Generator

from node.dicom.query import StudyQuery
from node.ops.finding.planning.knowledge import Knowledge
from node.ops.finding.planning.rules.judging import judge
from node.ops.finding.planning.rules.ruling import Ruled
from node.ops.finding.planning.tree import Ask, Heard, Node, Steps

_HOPELESS = 16
"""Windows one after the other that are not answered, after which no more are split."""

_AXIS_QUESTIONS = 100
"""Questions that are spent on windows that neither dates nor times split; and one more for each
`_OTHERS` of the others."""

_OTHERS = 8


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
        self._axis_questions: float = _AXIS_QUESTIONS

    @property
    def are_vain(self) -> bool:
        """Whether narrower windows are not answered either."""
        return self.lost or self._unanswered >= _HOPELESS

    @property
    def may_use_keys(self) -> bool:
        """Whether there are questions left for windows that neither dates nor times split."""
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
        along_axis = node.by not in {"", "dates", "times", "undated"} and not node.aside
        while True:
            node.attempts += 1
            self._axis_questions -= 1 if along_axis else -1 / _OTHERS
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

    def put_aside(
        self, query: StudyQuery, node: Node, by: str
    ) -> Generator[Ask, Heard, Heard | None]:
        """Ask what is no part of a window; return what was answered to the end."""
        yield from self.put(aside := self.add(query, node, by, aside=True))
        return aside.answer if aside.answer is not None and aside.answer.answered else None
