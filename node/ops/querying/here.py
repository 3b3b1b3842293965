"""The node's own index, asked what it has: as peers ask it, but without their rights and limits."""

from collections.abc import AsyncGenerator

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from node.config import Config
from node.dicom.querying.model import IdentifierMismatch, QueryModel
from node.errors import PeerFailure, UsageError
from node.net.dimse.identifiers import decoded_identifier, write_identifier
from node.net.messages import Caller, EndOfAnswers, FindRequest
from node.ops.answering.finding import IndexFinder, QueryLimits
from node.ops.querying.answerer import INDEX, Terms
from schema.answering.scope import ALL_IMAGES
from schema.engine.database import Database

_SYNTAX = str(ExplicitVRLittleEndian)


class IndexAnswerer:
    """Answers questions from the index; see `Answerer`.

    Parameters
    ----------
    model
        The information model of the questions.
    terms
        All of them are agreed to, but fuzzy matching.
    """

    operation = INDEX

    def __init__(self, config: Config, database: Database, model: QueryModel, terms: Terms) -> None:
        limits = QueryLimits(examined=config.answer.examine)
        self._finder = IndexFinder(database, aetitle=config.node.aetitle, limits=limits)
        self._aetitle = config.node.aetitle
        self._model = QueryModel.REPOSITORY if terms.repository else model
        self._terms = terms
        self.refused: tuple[str, ...] = (
            ("fuzzy matching of names",) if terms.extension.fuzzy else ()
        )

    async def answers(self, identifier: Dataset) -> AsyncGenerator[Dataset, None]:
        """See `Answerer.answers`."""
        # as it would come: what is encoded and decoded is what a peer is asked, and asks
        encoded = write_identifier(identifier, _SYNTAX)
        request = FindRequest(
            caller=Caller(aetitle=self._aetitle, address="", port=0),
            model=self._model,
            identifier=await decoded_identifier(encoded, _SYNTAX),
            transfer_syntax_uid=_SYNTAX,
            relational=self._terms.extension.relational,
            combined=self._terms.extension.combined,
        )
        try:
            async for page in self._finder.answers(request, [ALL_IMAGES]):
                for match in page:
                    yield await decoded_identifier(match, _SYNTAX, values=False)
        except IdentifierMismatch as error:
            raise UsageError(str(error)) from error
        except EndOfAnswers as end:
            raise PeerFailure(
                f"the index: {end.comment or 'it cannot be asked'}",
                status=end.status,
                comment=end.comment,
            ) from end
