"""In which order studies are asked for; nothing else, for the configuration has it as well."""

from enum import StrEnum


class MoveOrder(StrEnum):
    """Which of several studies of one priority is asked for first: the values of `move.order`."""

    OLDEST = "oldest"
    """That with the earliest study date."""
    NEWEST = "newest"
    """That with the latest."""
    LISTED = "listed"
    """That which was found first; or, where a list names them, that which is named first."""
