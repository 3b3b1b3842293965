"""What a C-STORE says of the C-MOVE that it is a part of."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Originator:
    """Who asked for the C-MOVE of which a C-STORE is a sub-operation (PS3.7 9.1.1.1.6, 7)."""

    aetitle: str
    message_id: int
