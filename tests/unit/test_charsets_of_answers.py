"""Which character set an answer is in: one that has all of its text (PS3.3 C.12.1.1.2)."""

import pytest

from node.dicom.querying.charsets import UTF_8, AnswerCharset, codec_of, fitting

JAPANESE = ("", "ISO 2022 IR 87")
KOREAN = ("", "ISO 2022 IR 149")


@pytest.mark.parametrize(
    ("terms", "text", "fits"),
    [
        (("ISO_IR 100",), "Müller^Jürgen", True),
        (("ISO_IR 100",), "Łukasz", False),
        (("ISO_IR 144",), "Иванов", True),
        (("ISO_IR 13",), "ﾔﾏﾀﾞ^ﾀﾛｳ", True),
        (("ISO_IR 13",), "山田^太郎", False),
        (JAPANESE, "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        (JAPANESE, "Müller^Jürgen", False),
        (JAPANESE, "山ü田", False),
        (("ISO 2022 IR 100", "ISO 2022 IR 87"), "Müller=山田", True),
        (("", "ISO 2022 IR 100"), "Müller^Jürgen", False),  # it would have to be switched to
        (KOREAN, "Hong^Gildong=洪^吉洞=홍^길동", True),
        (KOREAN, "Hong^Gildöng=洪^吉洞=홍^길동", False),
        (("no such set",), "Müller", False),
    ],
)
@pytest.mark.parametrize("vr", ["PN", "LO"])
def test_a_set_is_used_where_it_has_all_of_a_text(vr, terms, text, fits):
    if vr == "LO" and "=" in text:
        text = text.replace("=", " ").replace("^", " ")
    encoded = AnswerCharset(terms).encode(vr, [text])
    assert (encoded is not None) is fits
    expected = terms if fits else UTF_8
    assert fitting([(vr, (text,))], terms).terms == expected


def test_the_codec_of_a_set_with_code_extensions_is_not_told():
    assert codec_of(JAPANESE) is codec_of(("ISO 2022 IR 87",)) is codec_of(("ISO_IR 13",)) is None
    assert codec_of(("ISO_IR 192",)) == "UTF8"
