"""Index a folder of DICOM files in the database of a configuration, and list what is in it.

    python examples/index_a_folder.py dicom-data node_conf.yaml

The configuration needs no more than these lines; the database is created where there is none:

    storage:
      resources: "sqlite:///resources.db"
      resources_meta: ""
      directory: ""

The same on the command line: `dicom-node db init -f node_conf.yaml`, then
`dicom-node parse -i dicom-data -f node_conf.yaml --fmt sql`.
"""

import asyncio
import sys

from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from schema import Image, database_url, parse_dir2sql


def main(folder: str, configuration: str) -> None:
    """Index the folder, and print each image that the database has."""
    report = asyncio.run(parse_dir2sql(folder, configuration, create_tables=True))
    print(report.indexed, "images indexed")

    engine = create_engine(database_url(configuration))
    DBSession = sessionmaker(bind=engine)  # noqa: N806 - as the guide calls it
    session = DBSession()
    for image in session.query(Image).all():
        print(image)
    session.close()
    engine.dispose()


if __name__ == "__main__":
    main(*sys.argv[1:])
