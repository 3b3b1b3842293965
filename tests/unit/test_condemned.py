"""A condemned file loses its name in the archive; a good one that came meanwhile does not."""

import os

from node.storage.condemned import has_an_image, inode_of, take_away


def test_a_condemned_file_keeps_only_its_name_in_quarantine(tmp_path):
    path, aside = tmp_path / "image.dcm", tmp_path / "aside.dcm"
    path.write_bytes(b"damaged")
    os.link(path, aside)
    assert take_away(path, inode_of(path), aside)
    assert [one.name for one in tmp_path.iterdir()] == ["aside.dcm"]
    assert take_away(path, inode_of(aside), aside), "again, as after a crash"


def test_a_file_that_has_taken_its_place_keeps_it(tmp_path):
    path, aside = tmp_path / "image.dcm", tmp_path / "aside.dcm"
    path.write_bytes(b"damaged")
    os.link(path, aside)
    condemned = inode_of(path)
    (tmp_path / "good").write_bytes(b"good")
    (tmp_path / "good").replace(path)
    assert not take_away(path, condemned, aside)
    assert path.read_bytes() == b"good"
    assert aside.read_bytes() == b"damaged"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["aside.dcm", "image.dcm"]


def test_an_image_tree_without_images_is_told(tmp_path):
    assert not has_an_image(tmp_path)
    (tmp_path / ".quarantine").mkdir()
    (tmp_path / ".quarantine" / "x.dcm").touch()
    (tmp_path / ".move-pacs.lock").touch()
    assert not has_an_image(tmp_path)
    (tmp_path / "1.2" / "3.4").mkdir(parents=True)
    (tmp_path / "1.2" / "3.4" / "x.dcm").touch()
    assert has_an_image(tmp_path)
