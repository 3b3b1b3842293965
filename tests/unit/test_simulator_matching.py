"""C-FIND's attribute matching, rule by rule (PS3.4 C.2.2.2)."""

import pytest

from node.dicom.querying.matching import matches

YES, NO = True, False


@pytest.mark.parametrize(
    ("rule", "vr", "key", "value", "expected"),
    [
        # C.2.2.2.1 single value matching
        ("the same text", "SH", "A1", "A1", YES),
        ("other text", "SH", "A1", "A2", NO),
        ("case counts outside of names", "LO", "head", "HEAD", NO),
        ("padding does not count", "CS", "CT ", "CT", YES),
        ("padding of a UID does not count", "UI", "1.2.3\0", "1.2.3", YES),
        ("an empty value matches no single value", "LO", "A", "", NO),
        ("numbers are compared as numbers", "IS", "07", "7", YES),
        ("decimal strings too", "DS", "1.50", "1.5", YES),
        ("other numbers", "US", "512", "256", NO),
        ("a number of 32 bits, as it is read", "FL", "0.1", "0.10000000149011612", YES),
        ("another number of 32 bits", "FL", "0.1", "0.1001", NO),
        ("a number of 64 bits is exact", "FD", "0.1", "0.10000000149011612", NO),
        ("so is an integer of 64 bits", "UV", "9007199254740993", "9007199254740992", NO),
        ("a number that none of 32 bits is", "FL", "1e300", "1", NO),
        # C.2.2.2.3 universal matching
        ("an empty key matches anything", "LO", "", "A", YES),
        ("an empty key matches an empty value", "LO", "", "", YES),
        # C.2.2.2.4 wildcard matching
        ("* is any sequence", "LO", "HE*D", "HEAD", YES),
        ("* is also nothing", "LO", "HEAD*", "HEAD", YES),
        ("* in the middle has to fit", "LO", "HE*D", "HEADS", NO),
        ("? is one character", "SH", "A?", "A1", YES),
        ("? is not none", "SH", "A?", "A", NO),
        ("? is not two", "SH", "A?", "A12", NO),
        ("a lone * matches an empty value", "LO", "*", "", YES),
        ("* with more does not match an empty value", "LO", "*A", "", NO),
        ("other characters of patterns are literal", "LO", "A.[x]*", "A.[x]y", YES),
        ("a dot is no wildcard", "LO", "A.C*", "ABC", NO),
        ("% is no wildcard", "LO", "A%", "ABC", NO),
        ("_ is no wildcard", "SH", "A_", "AB", NO),
        ("* is no wildcard in a UID", "UI", "1.2.*", "1.2.3", NO),
        ("* is no wildcard in a number", "IS", "1*", "12", NO),
        # person names
        ("case does not count in names", "PN", "buc^jérôme", "Buc^Jérôme", YES),
        ("empty components at the end do not count", "PN", "Muster^Erika^^", "Muster^Erika", YES),
        ("a family name alone is another name", "PN", "Muster", "Muster^Erika", NO),
        ("a name with a wildcard", "PN", "must*", "Muster^Erika", YES),
        ("a family name alone may be all that is known", "PN", "muster^*", "Muster", YES),
        ("and delimiters without anything", "PN", "muster^*^*", "Muster^ ", YES),
        ("a given name is not missing", "PN", "muster^?*", "Muster", NO),
        ("a family name is not cut", "PN", "must^*", "Muster", NO),
        ("a sigma at the end of a word", "PN", "ΠΑΠΑΣ^ΓΙΩΡΓΟΣ", "Παπας^Γιωργος", YES),
        ("? is a letter that small letters have none of", "PN", "?nce^Ali", "İnce^Ali", YES),
        ("the ideographic group", "PN", "山田^*", "Yamada^Tarou=山田^太郎=やまだ^たろう", YES),
        ("the alphabetic group", "PN", "Yamada^Tarou", "Yamada^Tarou=山田^太郎", YES),
        ("all groups", "PN", "Yamada^Tarou=山田^太郎", "Yamada^Tarou=山田^太郎", YES),
        ("an empty group is any", "PN", "=山田^*", "Yamada^Tarou=山田^太郎=やまだ^たろう", YES),
        ("also one of delimiters", "PN", "^=山田^*", "Yamada^Tarou=山田^太郎", YES),
        (
            "and one in the middle",
            "PN",
            "yamada^*==や*",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
            YES,
        ),
        ("whatever stands for it", "PN", "*=山田^太郎", "=山田^太郎", YES),
        ("also nothing", "PN", "Yamada^Tarou=*", "Yamada^Tarou", YES),
        ("the group that is given is that one", "PN", "=Yamada*", "Yamada^Tarou=山田^太郎", NO),
        ("and has to be there", "PN", "=山田*", "山田^太郎", NO),
        ("groups that are all empty are any", "PN", "==", "", YES),
        ("a group is whole", "PN", "=山田", "Yamada^Tarou=山田^太郎", NO),
        ("accents count", "PN", "Buc^Jerome", "Buc^Jérôme", NO),
        # C.2.2.2.5.1 DA
        ("the day", "DA", "20240131", "20240131", YES),
        ("another day", "DA", "20240131", "20240201", NO),
        ("the day as ACR-NEMA wrote it", "DA", "20240131", "2024.01.31", YES),
        ("the first day of a range", "DA", "20240131-20240202", "20240131", YES),
        ("the last day of a range", "DA", "20240131-20240202", "20240202", YES),
        ("the day after a range", "DA", "20240131-20240202", "20240203", NO),
        ("until a day", "DA", "-20240202", "19700101", YES),
        ("until a day, that day included", "DA", "-20240202", "20240202", YES),
        ("until a day, not after", "DA", "-20240202", "20240203", NO),
        ("from a day on", "DA", "20240202-", "20240202", YES),
        ("from a day on, not before", "DA", "20240202-", "20240201", NO),
        ("a range does not match no date", "DA", "-20240202", "", NO),
        ("a range the wrong way round matches nothing", "DA", "20240202-20240101", "20240115", NO),
        ("a lone hyphen matches nothing", "DA", "-", "20240115", NO),
        ("no such date", "DA", "20240231", "20240131", NO),
        ("a date in ISO 8601 is not a DA", "DA", "2024-01-31", "20240131", NO),
        # C.2.2.2.5.2 TM
        ("the minute contains its seconds", "TM", "1015", "101530.123", YES),
        ("another minute", "TM", "1015", "101600", NO),
        ("a range of times", "TM", "1000-1030", "101530", YES),
        ("the last minute of a range is in it", "TM", "1000-1030", "103059.999999", YES),
        ("after a range of times", "TM", "1000-1030", "103100", NO),
        ("until a time", "TM", "-1200", "000000", YES),
        ("from a time on", "TM", "1200-", "115959", NO),
        ("midnight's last second", "TM", "2300-2359", "235959.999999", YES),
        # C.2.2.2.5.3 DT
        ("a date-time of a day", "DT", "20240131", "20240131101530", YES),
        ("a range of date-times", "DT", "20240131-20240201", "20240201235959", YES),
        ("after a range of date-times", "DT", "20240131-20240201", "20240202", NO),
        ("an offset is no range", "DT", "20240131101530-0500", "20240131151530", YES),
        ("an offset to the east", "DT", "20240131101530+0100", "20240131091530+0000", YES),
        ("a range with offsets", "DT", "202401311000-0500-202401311100-0500", "202401311530", YES),
        ("from a date-time on", "DT", "20240131-", "20240130", NO),
        ("a range of years", "DT", "2020-2024", "20230601", YES),
        ("until a month", "DT", "-202401", "20240131235959", YES),
    ],
)
def test_a_key_matches_a_value_as_the_standard_says(rule, vr, key, value, expected):
    assert matches(vr, [key], [value]) is expected, rule


@pytest.mark.parametrize("key", [[], [""], ["", ""]])
def test_no_key_is_universal(key):
    assert matches("LO", key, [])


def test_one_of_a_list_of_uids_is_enough():
    assert matches("UI", ["1.2", "1.3"], ["1.3"])
    assert not matches("UI", ["1.2", "1.3"], ["1.4"])


def test_one_of_an_attributes_values_is_enough():
    assert matches("CS", ["SR"], ["CT", "SR"])
    assert not matches("CS", ["MR"], ["CT", "SR"])


def test_an_absent_value_matches_only_universal_keys():
    assert matches("DA", [""], [])
    assert matches("CS", ["*"], [])
    assert not matches("DA", ["20240101-"], [])
    assert not matches("LO", ["A"], [])
