"""Which presentation contexts a C-GET proposes for what it may bring: pure.

Each SOP class is proposed in each transfer syntax by a context of its own, so that the peer sends
its images as it has them; an association has 128 contexts, and one is the C-GET's own. What is in
none of them cannot come, so there may be others afterwards, which propose the rest.
"""

from collections.abc import Collection, Iterator

from pydicom.uid import UID

from node.net.dimse.contexts import STORAGE_CLASSES, StorageContext

MOST = 126
"""Contexts beside the C-GET's own, with one to spare."""

_UNCOMPRESSED = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
_USUAL = (
    "1.2.840.10008.1.2.4.70",  # JPEG lossless, first-order prediction
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.50",  # JPEG baseline
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
)
_OTHERS = (
    "1.2.840.10008.1.2.5",  # RLE lossless
    "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.81",  # JPEG-LS near-lossless
    "1.2.840.10008.1.2.4.51",  # JPEG extended
    "1.2.840.10008.1.2.4.57",  # JPEG lossless
    "1.2.840.10008.1.2.4.201",  # HTJ2K lossless
    "1.2.840.10008.1.2.4.202",  # HTJ2K lossless RPCL
    "1.2.840.10008.1.2.4.203",  # HTJ2K
    "1.2.840.10008.1.2.4.102",  # MPEG-4 AVC/H.264 High Profile
    "1.2.840.10008.1.2.4.103",  # MPEG-4 AVC/H.264 BD-compatible High Profile
    "1.2.840.10008.1.2.4.100",  # MPEG2 Main Profile / Main Level
    "1.2.840.10008.1.2.4.101",  # MPEG2 Main Profile / High Level
    "1.2.840.10008.1.2.4.107",  # HEVC/H.265 Main Profile
    "1.2.840.10008.1.2.4.108",  # HEVC/H.265 Main 10 Profile
    "1.2.840.10008.1.2.1.99",  # deflated
    "1.2.840.10008.1.2.2",  # big endian
)

_ROOT = "1.2.840.10008.5.1.4.1.1."
_OFTEN = ("2", "4", "1", "1.1", "1.2", "12.1", "6.1", "3.1", "128", "7", "20")
"""CT, MR, CR, DX, MG, XA, US, US multi-frame, PET, secondary capture, NM."""

_SELDOM = (
    *("2.1", "4.1", "4.2", "4.3", "1.3", "12.2", "6.2", "77.1.4", "77.1.1", "77.1.5.1"),
    *("13.1.3", "13.1.1", "7.2", "7.4", "88.11", "88.22", "88.33", "88.59", "88.67", "11.1"),
    *("104.1", "481.2", "481.3", "481.5", "481.1", "66", "66.1", "66.4", "9.1.1"),
)
"""Enhanced and other images, structured reports and what else goes with images."""

_PRIVATE = (
    "1.3.12.2.1107.5.9.1",  # Siemens CSA non-image
    *(f"1.3.46.670589.11.0.0.12.{number}" for number in (1, 2, 4)),  # Philips MR
)
"""What scanners are known to send among their images, of the makers' own."""

_LATER = 4
"""How many associations there may be for the rest."""


def contexts_for(sop_classes: Collection[str], *, most: int = MOST) -> list[StorageContext]:
    """Return what to propose: for the SOP classes that are known to come, then for the usual ones.

    Parameters
    ----------
    sop_classes
        May be empty, and need not be all.
    most
        How many pairs of SOP class and transfer syntax.
    """
    pairs = dict.fromkeys([*_known(sorted(sop_classes)), *_usual()])
    return list(pairs)[:most]


def further_contexts(
    sop_classes: Collection[str], proposed: Collection[StorageContext], *, most: int = MOST
) -> list[list[StorageContext]]:
    """Return what to propose afterwards, association by association: what may come all the same.

    The other storage classes uncompressed, those that seldom come compressed as well, and what else
    of the usual ones was not proposed.

    Parameters
    ----------
    sop_classes
        As for `contexts_for`.
    proposed
        What was proposed already.
    most
        How many pairs one association proposes.
    """
    every = dict.fromkeys([*_known(sorted(sop_classes)), *_rest(), *_usual()])
    left = [pair for pair in every if pair not in proposed]
    return [left[start : start + most] for start in range(0, len(left), most)][:_LATER]


def refused_of(
    sop_classes: Collection[str],
    proposed: Collection[StorageContext],
    accepted: Collection[StorageContext],
    *,
    has_failed: bool,
) -> tuple[str, ...]:
    """Return by name what cannot come, as the peer has accepted no context for it.

    Parameters
    ----------
    sop_classes
        Those that are known to come. Where none is, all that were proposed are looked at, but
        only if something has failed.
    has_failed
        Whether something did not come: then what was accepted in some transfer syntaxes only is
        named with the others.
    """
    there = {sop_class for sop_class, _ in accepted}
    looked_at = sop_classes or ({sop_class for sop_class, _ in proposed} if has_failed else ())
    whole = [UID(one).name for one in sorted(looked_at) if one not in there]
    parts = [
        f"{UID(sop_class).name} in {UID(syntax).name}"
        for sop_class, syntax in proposed
        if has_failed
        and sop_class in sop_classes
        and sop_class in there
        and (sop_class, syntax) not in accepted
    ]
    return (*whole, *parts)


def _known(sop_classes: list[str]) -> Iterator[StorageContext]:
    for syntax in (*_UNCOMPRESSED, *_USUAL, *_OTHERS):
        for sop_class in sop_classes:
            yield sop_class, syntax


def _usual() -> Iterator[StorageContext]:
    for number in (*_OFTEN, *_SELDOM):
        for syntax in _UNCOMPRESSED:
            yield _ROOT + number, syntax
    for syntax in (*_USUAL, *_OTHERS):
        for number in _OFTEN:
            yield _ROOT + number, syntax


def _rest() -> Iterator[StorageContext]:
    usual = {_ROOT + number for number in (*_OFTEN, *_SELDOM)}
    others = [*_PRIVATE, *(one for one in STORAGE_CLASSES if one not in usual)]
    for syntax in _UNCOMPRESSED:
        for sop_class in others:
            yield sop_class, syntax
    for syntax in _USUAL:
        for number in _SELDOM:
            yield _ROOT + number, syntax
