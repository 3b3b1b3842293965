"""Studies that were complete, and of which images are gone with their rows.

Whoever compares files with rows sees neither: only what the verdict rested on tells. So `verify`
and `reconcile` end with comparing that with what is here, and say the same of it.
"""

from collections.abc import AsyncIterator

from node.config import Config
from node.ops.checking.report import Finding, Kind
from node.ops.overseeing.policies import policies_of
from schema import Database
from schema.inventory import Selection
from schema.verdicts.broken import BrokenVerdict, broken_verdicts, retrieved_page
from schema.verdicts.reopening import reopen_broken

_ALL = Selection()


class Removed:
    """Looks for them, page by page, and opens them for the next move.

    Parameters
    ----------
    config
        What is wanted from each peer: of what a PACS lists, only that has to be here.
    database
        The index.
    """

    def __init__(self, config: Config, database: Database) -> None:
        self._database = database
        self._policies = policies_of(config)

    async def pages(self, selection: Selection = _ALL) -> AsyncIterator[list[BrokenVerdict]]:
        """Yield them, in the order in which the studies were found.

        Parameters
        ----------
        selection
            Only its studies.

        Raises
        ------
        DatabaseUnavailable
            When the database is away.
        """
        after = 0
        while True:
            async with self._database.session() as session:
                keys = await retrieved_page(
                    session,
                    after=after,
                    study_uids=selection.study_uids,
                    project_id=selection.project_id,
                )
                broken = await broken_verdicts(session, keys, policies=self._policies)
            if not keys:
                return
            after = keys[-1]
            if broken:
                yield [one for _, one in sorted(broken.items())]

    async def reopen(self, studies: list[BrokenVerdict]) -> list[str]:
        """Open those that are still so for the next move; return their UIDs."""
        uids = [one.study_uid for one in studies]
        return await self._database.run(reopen_broken, uids, policies=self._policies)


def finding_of(study: BrokenVerdict) -> Finding:
    """Return how a study is listed, whoever has found it."""
    return Finding(path=study.study_uid, why=Kind.REMOVED, reason=str(study))
