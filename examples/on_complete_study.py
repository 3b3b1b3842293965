"""A hook: reads each image of a study that is complete, and keeps a line of what it found.

    hooks:
      measure:
        events: [study_complete]
        command: [python, examples/on_complete_study.py, "sqlite:///var/node.db", var/studies.csv]

The event comes on the standard input. What is printed, `dicom-node hooks show` shows.
"""

import json
import sys
from pathlib import Path

import pydicom
from sqlalchemy import select

from schema import Image, SyncDatabase


def main(url: str, table: Path) -> None:
    """Read the images of the study that an event tells of."""
    event = json.load(sys.stdin)
    lines = table.read_text(encoding="utf-8").splitlines() if table.exists() else []
    if any(line.startswith(event["id"]) for line in lines):  # an event may come twice
        print("known already")
        return
    study_uid = event["data"]["study_uid"]
    images, pixels = 0, 0
    with SyncDatabase(url) as database, database.session() as session:
        query = select(Image).where(Image.study_uid == study_uid).order_by(Image.image_uid)
        for image in session.scalars(query):
            dataset = pydicom.dcmread(image.filepath, stop_before_pixels=True)
            images += 1
            pixels += dataset.Rows * dataset.Columns
    with table.open("a", encoding="utf-8") as file:
        file.write(f"{event['id']},{study_uid},{images},{pixels}\n")
    print(f"{images} images, {pixels} pixels")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
