"""Images that are not taken in their own transfer syntax: converted, or a failure that is named."""

import io
import struct
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGExtended12Bit
from pynetdicom import AE, evt

from node.dicom.converting import ConversionError, converted
from node.dicom.part10 import file_header
from node.dicom.status import Status
from node.errors import FileDamaged, FileGone, NotConverted
from node.net.messages import InstanceFile
from node.ops.answering.giving import conversions
from node.ops.answering.giving.conversions import Conversions
from tests.support.giving import answering_node, index
from tests.support.images import dataset_bytes, generate, one_per_transfer_syntax
from tests.support.processes import LOOPBACK, free_port
from tests.support.received import flip_byte

EXPLICIT, IMPLICIT = str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file in each transfer syntax, by its UID."""
    return one_per_transfer_syntax(tmp_path_factory.mktemp("syntaxes"))


def read(dataset, syntax):
    header = file_header(sop_class_uid="", sop_instance_uid="", transfer_syntax_uid=syntax)
    return pydicom.dcmread(io.BytesIO(header + dataset))


KNOWN = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.5",
)


@pytest.mark.parametrize("target", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("syntax", KNOWN)
def test_what_is_converted_is_the_same_image(files, syntax, target):
    encoded = dataset_bytes(files[syntax])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = read(encoded, syntax)
        chosen, data = converted(encoded, syntax, ["1.2.3", target])
        after = read(data, target)
        assert (chosen, len(data) % 2) == (target, 0)
        assert after.SOPInstanceUID == before.SOPInstanceUID
        if "PixelData" in before:
            if before.PhotometricInterpretation == after.PhotometricInterpretation:
                assert np.array_equal(after.pixel_array, before.pixel_array)
            assert not after["PixelData"].is_undefined_length
        changed = {"PixelData", "PhotometricInterpretation", "PlanarConfiguration"}
        for element in before:
            if element.keyword not in changed and element.tag.element:
                assert after[element.tag].value == element.value, element.tag


def test_what_no_decoder_reads_is_said_so(files):
    syntax = str(JPEGExtended12Bit)
    with pytest.raises(ConversionError, match="12-bit"):
        converted(dataset_bytes(files[syntax]), syntax, [EXPLICIT])
    with pytest.raises(ConversionError, match="only"):
        converted(b"", EXPLICIT, ["1.2.3"])


def instance(path, syntax, sha256=None):
    return InstanceFile(
        path=path,
        sop_class_uid="1.2",
        sop_instance_uid="1.3",
        transfer_syntax_uid=syntax,
        sha256=sha256,
    )


async def all_of(parts):
    data, last = b"", False
    while not last:
        part, last = await parts.part()
        data += part
    return data


RLE = "1.2.840.10008.1.2.5"


async def test_a_process_converts_one_after_the_other_and_outlives_failures(files, tmp_path):
    pool = Conversions(processes=1)
    damaged = tmp_path / "damaged.dcm"
    damaged.write_bytes(files[RLE].read_bytes())
    try:
        async with pool.convert(instance(files[RLE], RLE), [EXPLICIT]) as parts:
            first = await all_of(parts)
        (process,) = pool._idle
        for path, syntax, digest, error in (
            (damaged, RLE, "0" * 64, FileDamaged),
            (tmp_path / "gone.dcm", RLE, None, FileGone),
            (files[str(JPEGExtended12Bit)], str(JPEGExtended12Bit), None, NotConverted),
        ):
            with pytest.raises(error):
                async with pool.convert(instance(path, syntax, digest), [EXPLICIT]):
                    pass
        async with pool.convert(instance(files[RLE], RLE), [EXPLICIT]) as parts:
            assert await all_of(parts) == first
        assert pool._idle == [process]
        async with pool.convert(instance(files[RLE], RLE), [EXPLICIT]):
            pass  # nobody has read it
        assert pool._idle == [process]
    finally:
        await pool.close()


async def test_a_process_that_takes_too_long_is_ended(files, monkeypatch):
    monkeypatch.setattr(conversions, "PROGRAM", HANGING)
    pool = Conversions(processes=1, patience=0.1)
    with pytest.raises(NotConverted, match="in time"):
        async with pool.convert(instance(files[RLE], RLE), [EXPLICIT]):
            pass
    assert pool._idle == []


async def test_a_process_that_dies_is_a_failure(files, monkeypatch):
    monkeypatch.setattr(conversions, "PROGRAM", DYING)
    with pytest.raises(NotConverted, match="not converted from RLE Lossless"):
        async with Conversions(processes=1).convert(instance(files[RLE], RLE), [EXPLICIT]):
            pass


_SERVE = (
    "from schema.parsing.worker import *; import os, time\n"
    "def serve(source, target):\n"
    "    send_message(target, 'ready')\n"
    "    receive_message(source)\n"
    "    {}\n"
    "serve_in_pipes(serve)"
)
HANGING = _SERVE.format("time.sleep(60)")
DYING = _SERVE.format("os._exit(3)")


# Over the network


class Stingy:
    """A destination that takes uncompressed images only, in the transfer syntaxes given."""

    def __init__(self, *syntaxes, classes=None):
        self.port = free_port()
        self.received = {}
        self._ae = AE("STORE")
        for sop_class in classes:
            self._ae.add_supported_context(sop_class, list(syntaxes))

    def _store(self, event):
        dataset = event.request.DataSet.getvalue()
        syntax = str(event.context.transfer_syntax)
        self.received[str(event.request.AffectedSOPInstanceUID)] = (syntax, dataset)
        return 0

    def __enter__(self):
        handlers = [(evt.EVT_C_STORE, self._store)]
        self._server = self._ae.start_server(
            (LOOPBACK, self.port), block=False, evt_handlers=handlers
        )
        return self

    def __exit__(self, *_):
        self._server.shutdown()


async def test_a_destination_gets_its_own_transfer_syntax_where_it_takes_no_other(
    sqlite, tmp_path, files
):
    wanted = [files[uid] for uid in (RLE, EXPLICIT, IMPLICIT, str(JPEGExtended12Bit))]
    headers = {path: pydicom.dcmread(path, stop_before_pixels=True) for path in wanted}
    await index(sqlite, wanted)
    classes = {str(one.SOPClassUID) for one in headers.values()}
    studies = sorted({str(one.StudyInstanceUID) for one in headers.values()})
    lossy = str(headers[wanted[3]].SOPInstanceUID)
    with Stingy(IMPLICIT, classes=classes) as receiver:
        async with answering_node(sqlite, tmp_path, store=receiver.port) as node:
            *_, last = await node.move("STORE", StudyInstanceUID=studies)
    assert (last.status, last.completed) == (Status.SUBOPERATIONS_WITH_FAILURES, 3)
    assert last.failed_uids == (lossy,)
    assert last.comment.startswith("1 failed: not converted from JPEG Extended")
    assert {syntax for syntax, _ in receiver.received.values()} == {IMPLICIT}
    kept = receiver.received[str(headers[files[IMPLICIT]].SOPInstanceUID)]
    assert kept == (IMPLICIT, dataset_bytes(files[IMPLICIT]))


async def test_half_of_the_classes_taken_is_half_of_the_images(sqlite, tmp_path, files):
    wanted = [files[RLE], files[IMPLICIT]]
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in wanted]
    assert headers[0].SOPClassUID != headers[1].SOPClassUID
    await index(sqlite, wanted)
    studies = sorted({str(one.StudyInstanceUID) for one in headers})
    with Stingy(IMPLICIT, EXPLICIT, classes=[str(headers[1].SOPClassUID)]) as receiver:
        async with answering_node(sqlite, tmp_path, store=receiver.port) as node:
            *_, last = await node.move("STORE", StudyInstanceUID=studies)
    assert (last.completed, last.failed) == (1, 1)
    assert last.comment == "1 failed: not taken in its transfer syntax"


async def test_what_is_damaged_is_not_converted(sqlite, tmp_path):
    (image,) = generate(tmp_path / "images", images=1)
    await index(sqlite, [image.path])
    flip_byte(image.path, image.path.stat().st_size - 1)
    with Stingy(IMPLICIT, classes=["1.2.840.10008.5.1.4.1.1.4"]) as receiver:
        async with answering_node(sqlite, tmp_path, store=receiver.port) as node:
            *_, last = await node.move("STORE", StudyInstanceUID=image.study_uid)
    assert (last.failed, last.comment) == (1, "1 failed: its file is damaged")
    assert receiver.received == {}


async def test_text_of_another_character_set_and_pixels_that_are_too_few_arrive_as_they_were(
    sqlite, tmp_path
):
    paths = [tmp_path / "named.dcm", tmp_path / "short.dcm"]
    (image, other) = generate(tmp_path / "images", images=2)
    name = b"M\xfcller^J\xf6rg"
    paths[0].write_bytes(image.path.read_bytes().replace(b"Doe^Jane", name[:8]))
    rows = struct.pack("<HH2sHH", 0x0028, 0x0010, b"US", 2, 64)
    whole = other.path.read_bytes()
    assert rows in whole
    paths[1].write_bytes(whole.replace(rows, rows[:-2] + b"\x41\0"))
    await index(sqlite, paths)
    with Stingy(IMPLICIT, classes=["1.2.840.10008.5.1.4.1.1.4"]) as receiver:
        async with answering_node(sqlite, tmp_path, store=receiver.port) as node:
            *_, last = await node.move("STORE", StudyInstanceUID=image.study_uid)
    assert (last.status, last.completed, last.failed) == (Status.SUCCESS, 2, 0)
    (syntax, dataset), (_, short) = (
        receiver.received[one.sop_instance_uid] for one in (image, other)
    )
    assert syntax == IMPLICIT
    assert struct.pack("<HHLH", 0x0028, 0x0010, 2, 65) in short
    assert struct.pack("<HHL", 0x0010, 0x0010, 8) + name[:8] in dataset


async def test_subsampled_colours_arrive_as_a_valid_image(sqlite, tmp_path):
    path = Path(get_testdata_file("SC_rgb_dcmtk_+eb+cy+np.dcm"))
    header = pydicom.dcmread(path)
    header.StudyInstanceUID, header.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    header.save_as(tmp_path / "colours.dcm")
    await index(sqlite, [tmp_path / "colours.dcm"])
    with Stingy(EXPLICIT, classes=[str(header.SOPClassUID)]) as receiver:
        async with answering_node(sqlite, tmp_path, store=receiver.port) as node:
            *_, last = await node.move("STORE", StudyInstanceUID="1.2.3")
    assert (last.status, last.completed) == (Status.SUCCESS, 1)
    ((syntax, dataset),) = receiver.received.values()
    image = read(dataset, syntax)
    assert image.PhotometricInterpretation == "YBR_FULL"
    assert len(image.PixelData) == 100 * 100 * 3
