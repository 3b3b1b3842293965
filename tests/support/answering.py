"""A node that answers from a database, in this process, and those who ask it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from pydicom import config
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from node.config import Config
from node.dicom.querying.model import QueryModel
from node.net.dimse.contexts import Service
from node.net.messages import Caller, FindRequest, Peer, Services
from node.net.scp.acceptor import Acceptor
from node.net.scu.requestor import associate
from node.ops.answering.finding import IndexFinder
from node.ops.answering.services import services
from node.ops.receiving.listening import acceptor_of
from schema import Database, add_images
from schema.answering.scope import ALL_IMAGES
from schema.record import read_record

VIEWER = {"aetitle": "VIEWER", "host": "127.0.0.1", "port": 11113}


def header(number: int, **values: Any) -> Dataset:
    """Return a header of an image whose UIDs are made of a number: `2` is all of its own study.

    `values` are attributes by keyword; `study`, `series`, `image` are other numbers for its UIDs.
    """
    study, series = values.pop("study", number), values.pop("series", number)
    image = values.pop("image", number)
    dataset = Dataset()
    dataset.SpecificCharacterSet = values.pop("charset", "ISO_IR 192")
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = f"1.2.3.{study}.{series}.{image}"
    dataset.StudyInstanceUID = f"1.2.3.{study}"
    dataset.SeriesInstanceUID = f"1.2.3.{study}.{series}"
    dataset.PatientID = f"P{study}"
    dataset.PatientName = "DOE^JANE"
    dataset.Modality = "CT"
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


async def hold(database: Database, headers: Iterable[Dataset]) -> None:
    """Put images into the index, without files."""
    records = [
        replace(read_record(one), transfer_syntax_uid=ExplicitVRLittleEndian) for one in headers
    ]
    async with database.begin() as session:
        await add_images(session, records)


@asynccontextmanager
async def answering_node(
    database: Database,
    *,
    viewer: dict[str, Any] | None = None,
    peers: dict[str, dict[str, Any]] | None = None,
    **sections: Any,
) -> AsyncIterator[Acceptor]:
    """Listen as a node does that one peer may ask, and others as is said."""
    rights = {"may_query": ["VIEWER"], "may_retrieve": ["VIEWER"], **(viewer or {})}
    settings = Config(
        node={"port": 11112, "aetitle": "NODE"},
        peers={"viewer": {**VIEWER, **rights}, **(peers or {})},
        **sections,
    )
    offered: Services = services(settings, database, lambda: False)
    acceptor = acceptor_of(settings, offered)
    acceptor._address = ("127.0.0.1", 0)
    async with acceptor:
        yield acceptor


def peer_at(acceptor: Acceptor, aetitle: str = "VIEWER") -> Peer:
    return Peer(
        name="node",
        aetitle=acceptor.aetitle,
        host=acceptor.host,
        port=acceptor.port,
        calling_aetitle=aetitle,
    )


def keys(level: str, **values: Any) -> Dataset:
    """Return an identifier."""
    identifier = Dataset()
    identifier.SpecificCharacterSet = "ISO_IR 192"
    identifier.QueryRetrieveLevel = level
    with config.disable_value_validation():
        for keyword, value in values.items():
            setattr(identifier, keyword, value)
    return identifier


async def ask(acceptor: Acceptor, identifier: Dataset) -> list[Dataset]:
    """Return what a C-FIND is answered with: of patients, in the Patient Root model."""
    patients = identifier.QueryRetrieveLevel == "PATIENT"
    service = Service.PATIENT_FIND if patients else Service.FIND
    async with associate(peer_at(acceptor), service) as association:
        return [match async for match in association.find(identifier, service=service)]


def column(matches: Sequence[Dataset], keyword: str) -> list[Any]:
    """Return one attribute of each match, sorted."""
    return sorted(str(match.get(keyword, "")) for match in matches)


async def combined(database: Database, identifier: Dataset) -> list[bytes]:
    """Return the answers to a question for which date and time were negotiated to be one."""
    question = FindRequest(
        caller=Caller(aetitle="VIEWER", address="127.0.0.1", port=1),
        model=QueryModel.STUDY_ROOT,
        identifier=identifier,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        combined=True,
    )
    finder = IndexFinder(database, aetitle="NODE")
    return [one async for page in finder.answers(question, [ALL_IMAGES]) for one in page]
