"""The sections of the configuration: their keys, defaults and rules.

The names of the fields are the keys in the file; the string below a field says what it does.
"""

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from node.config.durations import Days, Deadline, Duration, Interval
from node.config.hours import Holidays, Hours, Weekday
from node.config.section import Section as Section  # noqa: PLC0414 - it is had from here
from node.config.values import (
    AETitle,
    AETitles,
    Axes,
    Axis,
    Count,
    DatabaseURL,
    Day,
    DayOfWeek,
    Directory,
    FilePath,
    HolidayDates,
    HostName,
    Keywords,
    Modalities,
    Names,
    OpenHours,
    Port,
    Switch,
    Text,
    lower,
    section,
)
from node.config.wanted.budget import BudgetSettings
from node.config.wanted.settings import WantSettings
from schema.choosing.order import MoveOrder


class Layout(StrEnum):
    """How the storage directory is laid out."""

    PATIENT = "patient"
    """``<PatientID>/<Study>/<Series>/<SOP>.dcm``"""
    STUDY = "study"
    """``<Study>/<Series>/<SOP>.dcm``"""
    IMAGE = "image"
    """``<SOP>.dcm``"""


class LogLevel(StrEnum):
    """How much is logged. Only `debug` may name patients."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a log record is written: a readable line, or a JSON object per line."""

    TEXT = "text"
    JSON = "json"


def with_holidays(hours: Hours | None, dates: tuple[str, ...], like: Weekday) -> Hours | None:
    """Return hours that are those of another day on holidays; None is any time.

    Raises
    ------
    ValueError
        There are holidays, and no hours.
    """
    if hours is None:
        if dates:
            raise ValueError("holidays are days with other hours: give hours too")
        return None
    return replace(hours, holidays=Holidays(dates=frozenset(dates), like=like))


class ClientCertificates(StrEnum):
    """Whether those who connect to us show a certificate."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    IGNORED = "ignored"


class NodeTLS(Section):
    """TLS for associations that others open to us; in force when there is a certificate."""

    certificate: FilePath = None
    """Our certificate and its chain, PEM. With it, the port speaks nothing but TLS."""
    key: FilePath = None
    """Its private key, PEM, without a password; empty means the certificate's file."""
    ca: FilePath = None
    """The authorities of client certificates, PEM."""
    client_certificates: Annotated[ClientCertificates, BeforeValidator(lower)] = (
        ClientCertificates.REQUIRED
    )
    """required, optional or ignored."""
    bind_aetitle: Switch = False
    """Refuse associations whose calling AE title is no name in the client certificate."""
    handshake: Deadline = Duration(10)
    """How long a TLS handshake may take."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.certificate is None:
            return self
        if self.client_certificates is not ClientCertificates.IGNORED and self.ca is None:
            raise ValueError(
                "client certificates need the file of their authorities: give ca, or say"
                " client_certificates: ignored"
            )
        if self.bind_aetitle and self.client_certificates is not ClientCertificates.REQUIRED:
            raise ValueError("bind_aetitle needs client_certificates: required")
        return self


class NodeTimeouts(Section):
    """Deadlines for associations that others open to us (PS3.8 9.1.5, PS3.7)."""

    acse: Deadline = Duration(30)
    """For an association request after the connection, and for its release."""
    dimse: Deadline = Duration(60)
    """For the next part of a message that has begun."""
    network: Deadline = Duration(120)
    """For an association on which nothing happens at all."""


class NodeSettings(Section):
    """The node itself: how it introduces itself, and where it listens."""

    aetitle: AETitle = "NODE"
    """Our AE title: what peers call, and where they move images to."""
    host: HostName = "127.0.0.1"
    """The address to listen at; 0.0.0.0 is all of the machine's."""
    port: Port = 11112
    """The TCP port to listen at; 11112 is registered for DICOM and needs no root."""
    institution: Text = ""
    """The institution that patients belong to, where one PatientID can mean two people."""
    max_associations: Count = 250
    """How many associations may be open at once; more are refused for the moment."""
    max_associations_per_address: Count = 200
    """How many of them one network address may have."""
    max_associations_per_aetitle: Count = 200
    """How many of them one calling AE title may have."""
    max_unnegotiated: Count = 256
    """How many connections may be open without an association; beyond, the oldest are closed."""
    require_called_aetitle: Switch = True
    """Refuse associations that do not call us by our AE title."""
    allowed_calling: AETitles = ()
    """The AE titles that may call us; empty means everyone."""
    known_peers_only: Switch = False
    """Refuse associations from everyone who is not under peers."""
    tls: Annotated[NodeTLS, BeforeValidator(section)] = NodeTLS()
    """TLS for associations that others open to us."""
    timeouts: Annotated[NodeTimeouts, BeforeValidator(section)] = NodeTimeouts()
    """Deadlines for associations that others open to us."""
    grace: Duration = Duration(10)
    """How long running associations may take to end when the node stops."""

    @property
    def own_host(self) -> str:
        """Where this machine reaches the node: loopback when it listens at all addresses."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104


class StorageSettings(Section):
    """Where images and their index are kept."""

    resources: DatabaseURL = "sqlite:///var/node.db"
    """The database's URL."""
    resources_meta: Text | None = None
    """Accepted for pacsanini's sake, and not used: the header is in `images.meta`."""
    directory: Directory = Field(default=Path("var/dicom"))
    """Where received images are kept; empty means the default."""
    layout: Annotated[Layout, BeforeValidator(lower)] = Layout.STUDY
    """How the storage directory is laid out: study, patient or image."""

    @model_validator(mode="before")
    @classmethod
    def _drop_empty_directory(cls, values: object) -> object:
        if isinstance(values, Mapping) and values.get("directory", "-") in ("", None):
            return {key: value for key, value in values.items() if key != "directory"}
        return values


class ProofSettings(Section):
    """How old the proof of a study date may be, by how long ago the date is, in whole days."""

    newest: Days = Duration(7 * 86400)
    """Up to this age, a date is asked for in each cycle."""
    recent: Days = Duration(90 * 86400)
    """Up to this age, it is when its proof is as old as `recent_every`."""
    recent_every: Interval = Duration(86400)
    """How long the proof of such a date holds; off: for ever."""
    past: Days = Duration(1095 * 86400)
    """Up to this age, it is when its proof is as old as `past_every`."""
    past_every: Interval = Duration(30 * 86400)
    """How long the proof of such a date holds; off: for ever."""
    older_every: Interval = Duration(365 * 86400)
    """How long the proof of any other date holds; off: for ever."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for shorter, longer in (("newest", "recent"), ("recent", "past")):
            one, other = getattr(self, shorter), getattr(self, longer)
            if other < one:
                raise ValueError(
                    f"{longer} ({other.text}) must not be shorter than {shorter} ({one.text})"
                )
        return self


class FindSettings(Section):
    """What the node looks for by itself, and when."""

    peers: Names = ()
    """The peers to ask; empty means all of them."""
    every: Interval = None
    """How often to ask; off when absent."""
    hours: OpenHours = None
    """The hours in which to ask; at any time when absent."""
    holidays: HolidayDates = ()
    """Days on which the hours of another day of the week hold."""
    holidays_as: DayOfWeek = Weekday.SUNDAY
    """That day of the week."""
    jitter: Duration = Duration(300)
    """By how much at most a cycle begins later than it is due; a tenth of `every` at most."""
    lookback: Days = Duration(7 * 86400)
    """How far back a cycle looks at least, by study date, in whole days."""
    start_date: Day = None
    """The first study date to ask for, instead of a lookback."""
    end_date: Day = None
    """The last study date to ask for; today when absent."""
    proof: Annotated[ProofSettings, BeforeValidator(section)] = ProofSettings()
    """How old the proof of a study date may be before it is asked for again."""
    modality: Modalities = ()
    """Only studies that have one of these modalities; all when empty."""
    search_fields: Keywords = ()
    """Attributes to ask for beside those that the tables have columns for."""
    axes: Axes = tuple(Axis)
    """The keys by which a minute is split that has more studies than a peer answers."""
    concurrency: Count = 1
    """How many peers are asked at once; each of them one question after the other."""
    counts: Switch = False
    """Whether to count images at SERIES and IMAGE level where a PACS does not say their number."""
    recount: Days = Duration(30 * 86400)
    """How long such a count is good, unless the study changes."""
    undated: Switch = False
    """Whether to ask for studies without a date as well, by a question that names no date."""
    ahead: Switch = False
    """Whether the daemon asks, in each cycle, for all studies with dates after today as well."""
    timeout: Deadline = Duration(300)
    """How long a question may go on without a new answer."""
    total_timeout: Deadline = Duration(3600)
    """How long a question may take in all."""

    @model_validator(mode="after")
    def _check_holidays(self) -> Self:
        with_holidays(self.hours, self.holidays, self.holidays_as)
        return self

    @property
    def open_times(self) -> Hours | None:
        """The hours, as they are on holidays too; None is any time."""
        return with_holidays(self.hours, self.holidays, self.holidays_as)


class MoveSettings(Section):
    """What the node retrieves by itself, and when."""

    peers: Names = ()
    """The peers to retrieve from; empty means all that studies were found at."""
    every: Interval = None
    """How often to see what there is to retrieve; off when absent."""
    hours: OpenHours = None
    """The hours in which to retrieve; at any time when absent."""
    holidays: HolidayDates = ()
    """Days on which the hours of another day of the week hold."""
    holidays_as: DayOfWeek = Weekday.SUNDAY
    """That day of the week."""
    order: Annotated[MoveOrder, BeforeValidator(lower)] = MoveOrder.OLDEST
    """Which of the studies of one priority comes first: oldest, newest or listed (as found)."""
    want: Annotated[WantSettings, BeforeValidator(section)] = WantSettings()
    """What of studies is wanted; all unless said."""
    limit: Count | None = None
    """The most studies of one cycle; all when absent."""
    concurrency: Count = 2
    """How many studies are asked for at once, each over an association of its own."""
    throttle: Switch = True
    """Whether a peer is asked for less while it is slow to answer."""
    pause: Duration = Duration(0)
    """How long to wait after each retrieval before the next over the same association."""
    settle: Deadline = Duration(10)
    """How long no image of a study has arrived before it is judged."""
    timeout: Deadline = Duration(600)
    """How long a study's retrieval may go on without any sign of progress."""
    total_timeout: Deadline = Duration(43200)
    """How long a study's retrieval may take in all."""
    retry: Deadline = Duration(300)
    """How long an incomplete study waits for its next attempt; doubled each time."""
    retry_limit: Deadline = Duration(86400)
    """The longest wait for a next attempt."""
    attempts: Count | None = 10
    """How many attempts in a row may bring nothing before a study is given up."""
    canary: Switch = False
    """Whether one study is moved alone from a peer, when its hours open, before the rest."""
    budget: Annotated[BudgetSettings, BeforeValidator(section)] = BudgetSettings()
    """How much is moved at most from when the hours open until they close, from all peers."""

    @model_validator(mode="after")
    def _check_holidays(self) -> Self:
        with_holidays(self.hours, self.holidays, self.holidays_as)
        return self

    @property
    def open_times(self) -> Hours | None:
        """The hours, as they are on holidays too; None is any time."""
        return with_holidays(self.hours, self.holidays, self.holidays_as)


class LogSettings(Section):
    """What is logged, and how. Logs go to the standard error stream."""

    level: Annotated[LogLevel, BeforeValidator(lower)] = LogLevel.INFO
    """debug, info, warning or error; only debug may name patients."""
    format: Annotated[LogFormat, BeforeValidator(lower)] = LogFormat.TEXT
    """text, or json for one object per line."""
