"""What a probe learns of a peer that does all that the standard asks of it."""

from __future__ import annotations

from node.dicom.profile import PeerProfile

HONEST = PeerProfile(
    widest=0,
    dates=True,
    times=True,
    combined=False,
    wildcards=True,
    uid_lists=True,
    modalities=True,
    modalities_told=True,
    counts=True,
    empty_keys=True,
    universal=True,
)
"""By queries alone: that Repository Query was refused once does not prove that there is none."""
