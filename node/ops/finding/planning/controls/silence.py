"""Whether a peer that has brought nothing for a while still answers at all.

A PACS whose database is away, or that does not know us any more, may say Success without a study to
each question from some moment on. So what it has brought before is asked for once more at the end.
"""

from node.ops.finding.planning.questions import Questions
from node.ops.finding.planning.rules.judging import judge
from node.ops.finding.planning.rules.ruling import Ruled
from node.ops.finding.planning.tree import Node, Steps

HAS_CEASED = "the peer has then answered nothing"

_EXPECTED = 3.0
"""Studies that windows without any would have, were they like the others, to be suspicious."""


class Silence:
    """Looks at the windows without studies since the last one that had some.

    Parameters
    ----------
    questions
        The questions of the find.
    """

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        self._looked = False

    def look(self) -> Steps:
        """Ask for a window that has brought something, where much came to nothing after it."""
        if self._looked or self._questions.lost:
            return
        self._looked = True
        leaves = [one for one in self._questions.nodes if one.of_dates and not one.children]
        brought = [one for one in leaves if self._is_proven(one)]
        if not brought:
            return
        last = max(one.answer.asked_on for one in self._questions.nodes if one.answer and one.size)
        quiet = [one for one in leaves if one.is_zero and one.answer and one.answer.asked_on > last]
        density = sum(one.size for one in brought) / sum(one.days or 1 for one in brought)
        if density * sum(one.days or 0 for one in quiet) >= _EXPECTED:
            yield from self.ask_again(min(brought, key=lambda one: one.size))

    def ask_again(self, node: Node) -> Steps:
        """Ask for a window once more; where nothing comes any more, nothing proves nothing."""
        size = node.size
        yield from self._questions.put(node)
        if size and node.is_zero:
            for one in self._questions.nodes:
                if one.is_zero:
                    one.denied = (
                        f"{HAS_CEASED} for {node.query.window}, where it had brought {size} studies"
                    )
                    self._questions.touched.append(one)

    def _is_proven(self, node: Node) -> bool:
        ruled, _ = judge(node, self._questions.known)
        return bool(node.size) and not node.aside and ruled is Ruled.PROVEN
