"""A remote application entity: where it is, what it may do here, and how to speak with it."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, Self, TypeVar

from pydantic import BeforeValidator, Field, model_validator

from node.config.durations import Deadline, Duration
from node.config.hours import Hours, Weekday
from node.config.peer.answering import ProjectNames
from node.config.peer.profile import ProfileSettings
from node.config.peer.web import PeerCredentials, WebAddress
from node.config.sections import Section, with_holidays
from node.config.values import (
    AETitle,
    AETitles,
    Count,
    DayOfWeek,
    FilePath,
    HolidayDates,
    Modalities,
    Networks,
    OpenHours,
    Switch,
    Text,
    check_aetitle,
    check_host,
    check_port,
    lower,
    section,
)
from node.config.wanted.budget import BudgetSettings, Most
from node.config.wanted.settings import WantSettings

NAME_KEY = "\0name"
"""Where a peer is told its own name: a key that nobody can write in a file."""

_DIMSE = ("aetitle", "host", "port")
"""What an association needs: all of them or, where there is a URL, none."""

_NONE = object()
"""What these are told to be where a peer has a URL and none of them."""

_LONGEST_AE = 16
"""Characters of an AE title (PS3.5 6.2)."""

Value = TypeVar("Value")


def _or_none(check: Callable[[object], Value]) -> Callable[[object], Value | None]:
    return lambda value: None if value is _NONE else check(value)


class RetrieveWay(StrEnum):
    """How a peer is asked for images."""

    AUTO = "auto"
    """As it can be: C-MOVE, else C-GET, else WADO-RS."""
    MOVE = "move"
    """C-MOVE: it sends them to our AE title."""
    GET = "get"
    """C-GET: it sends them over the association on which we ask."""
    WADO = "wado"
    """WADO-RS: we fetch them at its DICOMweb service."""


class PeerTLS(Section):
    """TLS for connections that we open to a peer."""

    enabled: Switch = False
    """Speak TLS over associations, and never plain text; with its URL, https says so."""
    ca: FilePath = None
    """The authorities of its certificate, PEM; empty means the system's."""
    certificate: FilePath = None
    """Our certificate, where it asks for one, PEM."""
    key: FilePath = None
    """Its private key, PEM, without a password; empty means the certificate's file."""
    server_name: Text = ""
    """The name in its certificate; empty means its host."""
    check_name: Switch = True
    """Whether its certificate must have that name."""


class PeerTimeouts(Section):
    """Deadlines for associations that we open to a peer."""

    connect: Deadline = Duration(10)
    """For the TCP connection."""
    acse: Deadline = Duration(30)
    """For the answer to an association request or release."""
    dimse: Deadline = Duration(60)
    """For the next message of a running operation."""
    network: Deadline = Duration(120)
    """For an association on which nothing happens at all."""


class PeerSettings(Section):
    """A remote application entity."""

    name: str = Field(default="", validation_alias=NAME_KEY)
    """What the operator calls it: the key under `peers`."""
    aetitle: Annotated[str | None, BeforeValidator(_or_none(check_aetitle))]
    """Its AE title; this, host and port may be left out where there is a url."""
    host: Annotated[str | None, BeforeValidator(_or_none(check_host))]
    """Its host name or IP address."""
    port: Annotated[int | None, BeforeValidator(_or_none(check_port))]
    """Its TCP port."""
    url: WebAddress = None
    """The base URL of its DICOMweb service; where there is one, find asks there (QIDO-RS)."""
    credentials: Annotated[PeerCredentials, BeforeValidator(section)] = PeerCredentials()
    """How we log in at its DICOMweb service; no login unless said."""
    retrieve: Annotated[RetrieveWay, BeforeValidator(lower)] = RetrieveWay.AUTO
    """How it is asked for images: move (C-MOVE), get (C-GET), wado (WADO-RS at its url) or auto."""
    calling_aetitle: AETitle = Field(default="NODE")
    """How we introduce ourselves to it; node.aetitle unless said."""
    networks: Networks = ()
    """The addresses and networks that it calls from; empty means anywhere."""
    may_store: AETitles = ()
    """The AE titles under which it may send objects; its own unless said."""
    may_query: AETitles = ()
    """The AE titles under which it may query us (C-FIND); none unless said."""
    may_retrieve: AETitles = ()
    """The AE titles under which it may retrieve from us (C-MOVE, C-GET); none unless said."""
    may_commit: AETitles = ()
    """The AE titles under which it may ask for storage commitment; none unless said."""
    only_projects: ProjectNames = ()
    """The projects of which it is shown and given studies; empty means all that is here."""
    only_modalities: Modalities = ()
    """The modalities of which it is shown and given series; empty means all of them."""
    hide_incomplete: Switch = False
    """Whether it is neither shown nor given studies of which images are still to come."""
    retrieve_associations: Count = 1
    """Over how many associations at once images are sent to it, of one C-MOVE."""
    tls: Annotated[PeerTLS, BeforeValidator(section)] = PeerTLS()
    """TLS for connections that we open to it."""
    timeouts: Annotated[PeerTimeouts, BeforeValidator(section)] = PeerTimeouts()
    """Deadlines for associations that we open to it."""
    throttle: Switch | None = None
    """Whether it is asked for less while it is slow to answer; move.throttle unless said."""
    pause: Duration | None = None
    """How long to wait after each retrieval from it; move.pause unless said."""
    hours: OpenHours = None
    """The hours in which to ask it and to retrieve from it, beside those of find and of move."""
    holidays: HolidayDates = ()
    """Days on which the hours of another day of the week hold."""
    holidays_as: DayOfWeek = Weekday.SUNDAY
    """That day of the week."""
    want: Annotated[WantSettings, BeforeValidator(section)] = WantSettings()
    """What of studies is wanted from it, in place of move.want."""
    associations: Most = None
    """How many associations of ours it may have at once, of all nodes; any number when absent."""
    budget: Annotated[BudgetSettings, BeforeValidator(section)] = BudgetSettings()
    """How much is moved from it at most from when its hours open until they close."""
    profile: Annotated[ProfileSettings, BeforeValidator(section)] = ProfileSettings()
    """What is known of it, in place of what `dicom-node probe` finds out."""

    @model_validator(mode="before")
    @classmethod
    def _imply(cls, values: object) -> object:
        """Let its own title call us; a peer with a URL needs none."""
        if not isinstance(values, Mapping):
            return values
        if values.get("url") and not any(key in values for key in _DIMSE):
            return {**dict.fromkeys(_DIMSE, _NONE), **values}
        try:
            own = (check_aetitle(values.get("aetitle")),)
        except ValueError:  # that is said of its own key
            return values
        return {"may_store": own, **values}

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        if self.tls.enabled and self.url is not None and not self.url.startswith("https:"):
            raise ValueError(
                "tls.enabled is never plain text, and its url is: begin that with https"
            )
        return self

    @model_validator(mode="after")
    def _check_retrieve(self) -> Self:
        if self.retrieve is RetrieveWay.WADO and self.url is None:
            raise ValueError("retrieve: wado needs a url, that of its DICOMweb service")
        if self.retrieve in (RetrieveWay.MOVE, RetrieveWay.GET) and not self.speaks_dimse:
            raise ValueError(
                f"retrieve: {self.retrieve} goes over DIMSE, and needs aetitle, host and port"
            )
        return self

    @model_validator(mode="after")
    def _check_holidays(self) -> Self:
        with_holidays(self.hours, self.holidays, self.holidays_as)
        return self

    @property
    def open_times(self) -> Hours | None:
        """The hours, as they are on holidays too; None is any time."""
        return with_holidays(self.hours, self.holidays, self.holidays_as)

    @property
    def place(self) -> str:
        """Where it is, in words: its AE title and address, or its URL."""
        dimse = f"{self.aetitle} at {self.host} port {self.port}"
        return dimse if self.speaks_dimse else str(self.url)

    @property
    def source(self) -> str:
        """The AE title as whose images of it are taken; its name where it has none."""
        return self.aetitle or self.name[:_LONGEST_AE]

    @property
    def sends_as(self) -> frozenset[str]:
        """The AE titles under which it sends to us: its own one, and those that it may store as."""
        return frozenset({self.source, *self.may_store})

    @property
    def speaks_dimse(self) -> bool:
        """Whether associations can be opened to it; otherwise it has a URL alone."""
        return self.aetitle is not None
