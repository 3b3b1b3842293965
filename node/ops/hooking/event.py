"""What has happened, as it is told. Pure: values in, bytes out.

A request is signed as Standard Webhooks 1.0 has it: `webhook-id`, `webhook-timestamp`, and in
`webhook-signature` the version and HMAC-SHA256 over ``id.timestamp.body``, in base64.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from schema.hooking.kinds import EventKind
from schema.text.document import rfc3339, to_json

_ENCODED = "whsec_"
"""How a secret begins that is written in base64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that has happened.

    Attributes
    ----------
    id
        Its own, however often it is told: who has met it already can leave it.
    when
        Naive UTC, or aware.
    data
        What anybody may know: UIDs, counts, names of peers, outcomes.
    patient
        What is a patient's: told only to those who are to have it.
    """

    id: UUID
    kind: EventKind
    when: datetime
    data: Mapping[str, object] = field(default_factory=dict)
    patient: Mapping[str, object] = field(default_factory=dict)

    def written(self, *, include_patient_data: bool) -> bytes:
        """Return it as a line of JSON: ``id``, ``event``, ``on``, ``data``, perhaps ``patient``."""
        document: dict[str, object] = {
            "id": str(self.id),
            "event": self.kind.value,
            "on": rfc3339(self.when),
            "data": self.data,
        }
        if include_patient_data:
            document["patient"] = self.patient
        return f"{to_json(document)}\n".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of telling an event once, or several times until it was taken.

    Attributes
    ----------
    done
        Whether it was taken.
    again
        Whether it may be, when it is told another time.
    reason
        What went wrong, in words; empty when nothing did.
    attempts
        How often it was told.
    code
        The exit code of the command, or the status of HTTP; None where there was none.
    output
        The beginning of what the command wrote or the server answered; not harmless yet.
    seconds
        How long it took in all.
    """

    done: bool
    again: bool = False
    reason: str = ""
    attempts: int = 1
    code: int | None = None
    output: str = ""
    seconds: float = 0.0


def signed(event_id: UUID, body: bytes, secret: str, *, timestamp: int) -> dict[str, str]:
    """Return the headers that say which event a request tells, when, and that it is we who tell it.

    Parameters
    ----------
    secret
        Any text; what begins with ``whsec_`` is base64 behind that. Without one, nothing is signed.
    timestamp
        Seconds since 1970.
    """
    headers = {"webhook-id": str(event_id), "webhook-timestamp": str(timestamp)}
    if secret:
        digest = hmac.new(
            _key(secret), f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256
        ).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers


def _key(secret: str) -> bytes:
    if secret.startswith(_ENCODED):
        try:
            return base64.b64decode(secret.removeprefix(_ENCODED), validate=True)
        except binascii.Error:
            pass
    return secret.encode()
