from io import BytesIO

from pydicom import dcmread

from node.dicom.part10 import IMPLEMENTATION_CLASS_UID, file_header


def test_the_header_is_read_back_by_pydicom_and_the_dataset_follows_it():
    header = file_header(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uid="1.2.3",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        source_aetitle="SENDER",
    )
    patient_id = b"\x10\x00\x20\x00LO\x04\x00ABCD"
    dataset = dcmread(BytesIO(header + patient_id))
    meta = dataset.file_meta
    assert meta.MediaStorageSOPClassUID == "1.2.840.10008.5.1.4.1.1.2"
    assert meta.MediaStorageSOPInstanceUID == "1.2.3"
    assert meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert meta.SourceApplicationEntityTitle == "SENDER"
    assert meta.FileMetaInformationVersion == b"\0\1"
    assert meta.FileMetaInformationGroupLength == len(header) - 144
    assert dataset.PatientID == "ABCD"


def test_a_header_survives_values_that_are_not_ascii():
    header = file_header(
        sop_class_uid="é", sop_instance_uid="\ud800", transfer_syntax_uid="1.2.840.10008.1.2"
    )
    assert dcmread(BytesIO(header), force=True).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2"
