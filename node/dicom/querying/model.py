"""Information models (PS3.4 C.6), and what breaks their rules."""

from enum import Enum


class QueryModel(Enum):
    """The information model of a query (PS3.4 C.6)."""

    PATIENT_ROOT = "patient"
    STUDY_ROOT = "study"
    REPOSITORY = "repository"
    """Study Root with a response limit that is announced, and continued (PS3.4 C.6.4)."""


class IdentifierMismatch(ValueError):  # noqa: N818 - reads as a sentence where it is raised
    """A handler's word for an identifier that breaks the rules of its information model.

    It is answered with 0xA900, identifier does not match SOP class (PS3.4 C.4.1.1.4, C.4.2.1.5,
    C.4.3.1.4); the words go to who asked.
    """
