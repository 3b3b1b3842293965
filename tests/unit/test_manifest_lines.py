"""Lines of manifests: what is written is read back, and written as sha256sum does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.ops.manifest.written import About, DigestLine, read_line

DIGEST = "0123456789abcdef" * 4


@settings(max_examples=50)
@given(st.one_of(st.text(r"\nr" + "\n\r a", min_size=1), st.text(min_size=1)))
def test_any_path_is_read_back_from_its_one_line(path):
    written = DigestLine(DIGEST, path).written()
    assert written.count(b"\n") == 1
    assert read_line(written) == DigestLine(DIGEST, path)


def test_a_path_is_escaped_as_sha256sum_does():
    assert DigestLine(DIGEST, "a\\b\nc").written() == f"\\{DIGEST}  a\\\\b\\nc\n".encode()
    assert DigestLine(DIGEST, "a b").written() == f"{DIGEST}  a b\n".encode()
    assert read_line(f"{DIGEST} *a".encode()) == DigestLine(DIGEST, "a")
    assert DigestLine(DIGEST, "\udcff").written() == DIGEST.encode() + b"  \xff\n"


@pytest.mark.parametrize("line", [b"", b"\n", b"# comment\n", DIGEST.encode(), b"0" * 64 + b" a\n"])
def test_what_is_no_line_is_refused(line):
    with pytest.raises(ValueError, match="no line of sha256sum"):
        read_line(line)


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"3", b"\xff", b'{"format": "other"}'])
def test_what_says_nothing_about_a_manifest_is_refused(text):
    with pytest.raises(ValueError, match="no document of the format"):
        About.read(text)
