"""Record what a PACS has found and what has come, one at a time, in plain synchronous code.

python examples/insert_by_hand.py sqlite:///resources.db image.dcm dump-folder
"""

import sys

from pydicom import dcmread
from pydicom.dataset import Dataset

from schema import (
    DBWrapper,
    SyncDatabase,
    add_found_study,
    add_image,
    dump_database,
    get_db_session,
    get_studies_to_move,
    get_study_uids_to_move,
    update_retrieved_study,
)


def main(address: str, path: str, output: str) -> None:
    """Record the study of an image as found, add the image, and note that the study is here."""
    image_file = dcmread(path, stop_before_pixels=True)
    answer = Dataset()  # as a C-FIND response has it
    answer.StudyInstanceUID = image_file.StudyInstanceUID
    answer.PatientID = image_file.PatientID
    answer.StudyDate = "20240131"

    with DBWrapper(address, create_tables=True) as wrapper:
        session = wrapper.conn()
        found = add_found_study(session, answer)
        print("found:", found is not None)
        session.commit()
        print("to move:", get_study_uids_to_move(session))

    with get_db_session(address) as session:
        image = add_image(session, path, institution="General")
        print("added:", image)
        print("again:", add_image(session, path, institution="General"))
        study = update_retrieved_study(session, str(image_file.StudyInstanceUID))
        print("retrieved:", study is not None and study.retrieved_on is not None)
        session.commit()
        print("to move:", get_studies_to_move(session))

    for dumped in SyncDatabase(address).run(dump_database, output, ["patients", "images"]):
        print(dumped.path.name, dumped.rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
