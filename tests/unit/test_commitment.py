"""The datasets of storage commitment: pydicom's codec beside ours, and what is none."""

from io import BytesIO

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import decode, encode

from node.dicom.commitment import (
    SYNTAXES,
    CommitmentReport,
    CommitmentRequest,
    InvalidCommitment,
    Reference,
    read_report,
    read_request,
    write_report,
    write_request,
)

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
syntaxes = pytest.mark.parametrize("syntax", SYNTAXES)

components = st.integers(0, 10**8).map(str)
uids = st.lists(components, min_size=1, max_size=6).map(lambda parts: "1." + ".".join(parts))
references = st.builds(Reference, uids, uids)


def dataset_of(encoded, syntax):
    return decode(BytesIO(encoded), syntax == ImplicitVRLittleEndian, True)


def encoded_of(dataset, syntax, *, undefined=False):
    for sequence in ("ReferencedSOPSequence", "FailedSOPSequence"):
        if undefined and sequence in dataset:
            dataset[sequence].is_undefined_length = True
            for item in dataset[sequence].value:
                item.is_undefined_length_sequence_item = True
    return encode(dataset, syntax == ImplicitVRLittleEndian, True)


def item_of(reference, reason=None):
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    if reason is not None:
        item.FailureReason = reason
    return item


@syntaxes
@given(transaction=uids, wanted=st.lists(references, min_size=1, max_size=5, unique=True))
@settings(max_examples=50, deadline=None)
def test_a_request_is_written_and_read_as_pydicom_does(syntax, transaction, wanted):
    request = CommitmentRequest(transaction_uid=transaction, references=tuple(wanted))
    encoded = write_request(request, syntax)
    assert read_request(encoded, syntax) == request
    dataset = dataset_of(encoded, syntax)
    assert dataset.TransactionUID == transaction
    named = [
        (one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID)
        for one in dataset.ReferencedSOPSequence
    ]
    assert named == [(one.sop_class_uid, one.sop_instance_uid) for one in wanted]
    for undefined in (False, True):
        assert read_request(encoded_of(dataset, syntax, undefined=undefined), syntax) == request


@syntaxes
@given(
    transaction=uids,
    committed=st.lists(references, max_size=4),
    failed=st.lists(st.tuples(references, st.integers(0, 0xFFFF)), max_size=4),
)
@settings(max_examples=50, deadline=None)
def test_a_report_is_written_and_read_as_pydicom_does(syntax, transaction, committed, failed):
    report = CommitmentReport(transaction_uid=transaction, committed=committed, failed=failed)
    encoded = write_report(report, syntax)
    assert read_report(encoded, syntax) == report
    dataset = dataset_of(encoded, syntax)
    said = [
        (one.ReferencedSOPInstanceUID, one.FailureReason)
        for one in dataset.get("FailedSOPSequence", [])
    ]
    assert said == [(one.sop_instance_uid, reason) for one, reason in failed]
    assert len(dataset.get("ReferencedSOPSequence", [])) == len(committed)
    assert report.event_type == (2 if failed else 1)
    assert read_report(encoded_of(dataset, syntax, undefined=True), syntax) == report


@syntaxes
def test_what_else_is_in_a_request_is_passed_over(syntax):
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.TransactionUID = "1.2.3"
    dataset.StorageMediaFileSetID = "SET"
    step = Dataset()
    step.ReferencedSOPInstanceUID = "9.9"
    step.PatientComments = "long " * 100
    dataset.ReferencedPerformedProcedureStepSequence = [step]
    item = item_of(Reference(CT, "1.2.3.4"))
    item.StorageMediaFileSetID = "SET"
    item.ReferencedSeriesSequence = [step]
    dataset.ReferencedSOPSequence = [item, item_of(Reference(MR, "1.2.3.5")), item]
    for sequence in (
        dataset["ReferencedPerformedProcedureStepSequence"],
        item["ReferencedSeriesSequence"],
    ):
        sequence.is_undefined_length = True
    expected = (Reference(CT, "1.2.3.4"), Reference(MR, "1.2.3.5"))
    assert read_request(encoded_of(dataset, syntax), syntax).references == expected
    assert read_request(encoded_of(dataset, syntax, undefined=True), syntax).references == expected


@syntaxes
def test_what_lacks_a_uid_or_names_nothing_is_no_request(syntax):
    def request(**values):
        dataset = Dataset()
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        return encoded_of(dataset, syntax)

    good, nameless = item_of(Reference(CT, "1.2.3.4")), item_of(Reference(CT, ""))
    for encoded, why in (
        (b"", "Transaction UID"),
        (request(ReferencedSOPSequence=[good]), "Transaction UID"),
        (request(TransactionUID="1.2", ReferencedSOPSequence=[]), "names no object"),
        (request(TransactionUID="1.2"), "names no object"),
        (request(TransactionUID="1.2", ReferencedSOPSequence=[good, nameless]), "no SOP class"),
    ):
        with pytest.raises(InvalidCommitment, match=why):
            read_request(encoded, syntax)


@syntaxes
def test_a_request_that_is_cut_off_is_none(syntax):
    request = CommitmentRequest(
        transaction_uid="1.2.3", references=(Reference(CT, "1.2.3.4"), Reference(MR, "1.2.3.5"))
    )
    for whole in (
        write_request(request, syntax),
        encoded_of(dataset_of(write_request(request, syntax), syntax), syntax, undefined=True),
    ):
        for end in range(len(whole)):
            with pytest.raises(InvalidCommitment):
                read_request(whole[:end], syntax)


@syntaxes
@given(st.binary(max_size=200))
@example(b"\x08\x00\x99\x11SQ\0\0\xff\xff\xff\xff" * 50)
@example(b"\x08\x00\x99\x12\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 50)
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_request_or_an_error_of_ours(syntax, encoded):
    for read in (read_request, read_report):
        try:
            read(encoded, syntax)
        except InvalidCommitment:
            continue


def test_explicit_is_what_is_offered_first():
    assert SYNTAXES[0] == ExplicitVRLittleEndian
