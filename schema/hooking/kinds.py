"""What there is to tell."""

from enum import StrEnum


class EventKind(StrEnum):
    """What has happened: the values of `events.kind`."""

    STUDY_COMPLETE = "study_complete"
    """All images of a study are here."""
    STUDY_FAILED = "study_failed"
    """A study was given up: its images did not come, or not all."""
    CYCLE_END = "cycle_end"
    """A find or a move has ended, however."""
    ALARM = "alarm"
    """Something needs an operator."""
