"""The messages of Storage Commitment (PS3.4 J.3): which command is one, and what its dataset says.

Both roles use them: either side of an association may be the one that asks or the one that reports.
A long dataset is read in a thread.
"""

import asyncio

from node.dicom.commitment import (
    ALL_COMMITTED,
    REQUEST_ACTION,
    SOME_FAILED,
    CommitmentReport,
    CommitmentRequest,
    read_report,
    read_request,
)
from node.dicom.status import Status
from node.net.dimse.contexts import COMMITMENT_INSTANCE, STORAGE_COMMITMENT
from node.net.dimse.identifiers import AT_ONCE
from node.upperlayer import Command, CommandField
from node.upperlayer.dimse import DATASET


def why_no_request(command: Command) -> Status | None:
    """Return why an N-ACTION is none of Storage Commitment; None when it is one."""
    if command.requested_sop_class_uid != STORAGE_COMMITMENT:
        return Status.NO_SUCH_CLASS
    if command.requested_sop_instance_uid != COMMITMENT_INSTANCE:
        return Status.NO_SUCH_INSTANCE
    return None if command.action_type_id == REQUEST_ACTION else Status.NO_SUCH_ACTION


def why_no_report(command: Command) -> Status | None:
    """Return why an N-EVENT-REPORT is none of Storage Commitment; None when it is one."""
    if command.affected_sop_class_uid != STORAGE_COMMITMENT:
        return Status.NO_SUCH_CLASS
    if command.affected_sop_instance_uid != COMMITMENT_INSTANCE:
        return Status.NO_SUCH_INSTANCE
    known = command.event_type_id in (ALL_COMMITTED, SOME_FAILED)
    return None if known else Status.NO_SUCH_EVENT_TYPE


def request_command(message_id: int) -> Command:
    """Return the N-ACTION that asks for commitment (PS3.4 J.3.2.1)."""
    return Command(
        field=CommandField.N_ACTION_RQ,
        message_id=message_id,
        requested_sop_class_uid=STORAGE_COMMITMENT,
        requested_sop_instance_uid=COMMITMENT_INSTANCE,
        action_type_id=REQUEST_ACTION,
        dataset_type=DATASET,
    )


def report_command(message_id: int, report: CommitmentReport) -> Command:
    """Return the N-EVENT-REPORT of a report (PS3.4 J.3.3.1)."""
    return Command(
        field=CommandField.N_EVENT_REPORT_RQ,
        message_id=message_id,
        affected_sop_class_uid=STORAGE_COMMITMENT,
        affected_sop_instance_uid=COMMITMENT_INSTANCE,
        event_type_id=report.event_type,
        dataset_type=DATASET,
    )


async def decoded_request(encoded: bytes, syntax: str) -> CommitmentRequest:
    """Read the dataset of an N-ACTION; raises `InvalidCommitment` as `read_request` does."""
    if len(encoded) > AT_ONCE:
        return await asyncio.to_thread(read_request, encoded, syntax)
    return read_request(encoded, syntax)


async def decoded_report(command: Command, encoded: bytes, syntax: str) -> CommitmentReport:
    """Read an N-EVENT-REPORT; raises `InvalidCommitment` as `read_report` does."""
    event_type = command.event_type_id or 0
    if len(encoded) > AT_ONCE:
        return await asyncio.to_thread(read_report, encoded, syntax, event_type)
    return read_report(encoded, syntax, event_type)
