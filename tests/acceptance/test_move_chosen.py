"""Which studies `dicom-node move` asks for: from whom, from which list, and until when."""

import pytest

from node.cli.shell.dates import coming
from tests.support.images import generate
from tests.support.node import Node
from tests.support.processes import free_port
from tests.support.simulated import simulated

DATES = ("--from", "2024-01-01", "--to", "2024-01-31")


def test_a_list_is_moved_and_what_of_it_nobody_has_found_is_told_by_its_lines(
    cli, tmp_path, migrated_postgresql_url
):
    ports = {name: free_port() for name in ("old", "new")}
    peers = {name: (name.upper(), port) for name, port in ports.items()}
    settings = {"move": {"settle": "0.3s"}}
    node = Node(cli, tmp_path / "node", migrated_postgresql_url, peers=peers, settings=settings)
    made = generate(tmp_path / "pacs", studies=5, images=1)
    first, second, third, fourth, fifth = sorted({image.study_uid for image in made})
    listed = tmp_path / "list.csv"
    with (
        simulated(node, tmp_path / "pacs", ports["old"], aetitle="OLD"),
        simulated(node, tmp_path / "pacs", ports["new"], aetitle="NEW"),
    ):
        node.ok("find", *DATES)
        number = node.value(
            f"SELECT accession_number FROM studies_find WHERE study_uid = '{third}'"
        )
        listed.write_text(f"# of the trial\n{second}\n1.2.3.4\n{first}\n\n{first}\n")
        would = node.json("move", "--from", "new", "--list", listed, "--plan", code=1)
        assert [one["peer"] for one in would["would_move"]] == ["new", "new"]
        done = node("move", "--from", "new", "--list", listed, "--concurrency", "1")
        assert done.code == 1, "one of the list is not here"
        assert "new: 2 of 2 studies complete, 2 images" in done.stdout
        assert f"{listed}: 3 Study UIDs, from column 1; 1 line repeated" in done.stderr
        assert f"{listed}, line 3: no find has recorded 1.2.3.4" in done.stderr
        assert "1 line is left out; `dicom-node find PEER --list" in done.stderr
        assert node.rows("SELECT DISTINCT peer FROM move_attempts") == [{"peer": "new"}]

        again = node("move", "--list", listed, "--json")
        assert (again.code, '"studies": []' in again.stdout) == (1, False), "at old they are open"
        for peer in ("new", "old"):
            each = node.json(
                "move", "--accession", number, "--from", peer, "--until", "2999-01-01T00:00Z"
            )
            assert [one["study_uid"] for one in each["studies"]] == [third]
            assert each["left"] == 0
        both = node.json("move", "--from", "new", "--from", "old", "--study", fourth)
        assert [one["peer"] for one in both["studies"]] == ["new", "old"]

        listed.write_text(f"Accession Number;Name\n{number};x\n;y\n")
        wrong = node("move", "--list", listed)
        assert (wrong.code, f"{listed}, line 3: no study is named here" in wrong.stderr) == (
            2,
            True,
        )
        missing = node("move", "--accession", "A-1")
        assert missing.code == 2
        assert "no find has recorded a study of the accession number A-1" in missing.stderr
        twice = node("move", "old", "--from", "new")
        assert (twice.code, "PEER is short for --from PEER" in twice.stderr) == (2, True)
        assert node.value(f"SELECT state FROM studies_find WHERE study_uid = '{fifth}'") == (
            "pending"
        )


@pytest.mark.parametrize(
    "text", ["06:00", "6:00", "06:00Z", "06:00+01:00", "06:00 Europe/Berlin", "2999-01-01T06:00"]
)
def test_a_time_that_is_still_to_come_is_the_next_one(text):
    assert coming(text).utcoffset().total_seconds() == 0


@pytest.mark.parametrize(
    "text", ["", "25:00", "6", "06:00 Nowhere", "2024-01-31T06:00", "06:00 Z", "tomorrow"]
)
def test_a_time_that_is_none_or_has_passed_is_refused(text):
    with pytest.raises(Exception, match="is no time|has passed"):
        coming(text)
