"""A node that has received images, from itself as a peer: no other program is needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.node import Node
from tests.support.waiting import wait_until

SETTINGS = {"node": {"institution": "Hospital"}}


def receive(node: Node, *paths: Path, quarantined: int = 0) -> None:
    """Run the node, send it files, and wait until all of them are indexed or in quarantine."""
    node.configure({"itself": (node.aetitle, node.port)})
    before = node.value("SELECT count(*) FROM quarantine")
    with node.running():
        sent = node.json("send", "itself", *paths)
        assert sent["failed"] == []
        wait_until(lambda: spooled(node) == [], describe=lambda: spooled(node))
    assert node.value("SELECT count(*) FROM quarantine") == before + quarantined


def spooled(node: Node) -> list[Path]:
    """Return what waits to be indexed."""
    return [path for path in (node.directory / ".spool").rglob("*") if path.is_file()]


def natural_rows(node: Node) -> dict[str, list[dict[str, Any]]]:
    """Return all that is indexed, by table, without keys that only one database gives."""
    return {
        name: node.rows(query)
        for name, query in {
            "patients": "SELECT patient_id, patient_name, patient_birth_date, institution "
            "FROM patients ORDER BY patient_id, institution",
            "studies": "SELECT study_uid, p.patient_id, p.institution, study_date, patient_age, "
            "accession_number FROM studies s JOIN patients p ON p.id = s.patient_id "
            "ORDER BY study_uid",
            "series": "SELECT series_uid, study_uid, modality "
            "FROM series JOIN studies s ON s.id = series.study_id ORDER BY series_uid",
            "images": "SELECT i.image_uid, s.series_uid AS parent, institution, patient_id, "
            "patient_name, study_uid, study_date, i.series_uid, i.modality, sop_class_uid, "
            "acquisition_time, manufacturer, manufacturer_model_name, body_part_examined, "
            "patient_sex, kvp, slice_thickness, magnetic_field_strength, meta, filepath, sha256, "
            "size, transfer_syntax_uid, received_on, source, node, flag "
            "FROM images i JOIN series s ON s.id = i.series_id ORDER BY image_uid",
            "quarantine": "SELECT filepath, reason, kind, sop_instance_uid, study_uid, sha256, "
            "source, received_on FROM quarantine ORDER BY filepath",
        }.items()
    }


def flip_byte(path: Path, position: int) -> None:
    """Change one byte of a file in place, and nothing else."""
    with path.open("r+b") as file:
        file.seek(position)
        (byte,) = file.read(1)
        file.seek(position)
        file.write(bytes([byte ^ 0x01]))


def kinds(findings: Sequence[dict[str, str]]) -> dict[str, str]:
    """Return the kind of each listed file, by its name."""
    return {Path(one["path"]).name: one["kind"] for one in findings}
