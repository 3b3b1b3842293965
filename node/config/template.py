"""The configuration file that a new user starts from."""

import os
from pathlib import Path

from node.errors import ConfigurationError, UsageError

TEMPLATE = """\
# The configuration of dicom-node.
#
# Lines that begin with "#" show the defaults, or examples. Each setting can also be set in
# the environment, which wins over this file: DICOM_NODE__STORAGE__DIRECTORY=/data/dicom,
# DICOM_NODE__PEERS__PACS__PORT=104. `dicom-node config check` checks this file;
# `dicom-node config show` shows what is in force, and why.
#
# Durations are written 90s, 10m, 1h, 7d; a plain number is in seconds, 36525d is the most.
# Relative paths start from the directory of this file.

node:
  # Our AE title: up to 16 characters. The PACS has to know it, with our address and port,
  # before it can send images here.
  aetitle: NODE
  # The address to listen at. 0.0.0.0 is every address of this machine.
  host: 127.0.0.1
  port: 11112
  # Where the patients belong to. Set it when the same PatientID can mean two people, because
  # the images of several institutions come together in one database.
  institution: ""
  # Associations that may be open at once; more are refused for the moment.
  # max_associations: 250
  # ... and of them, from one network address, and under one calling AE title.
  # max_associations_per_address: 200
  # max_associations_per_aetitle: 200
  # Connections that may be open without an association; beyond that the oldest are closed.
  # max_unnegotiated: 256
  # Refuse associations that call somebody else than our AE title.
  # require_called_aetitle: true
  # The AE titles that may call us; everyone may when the list is empty.
  # allowed_calling: [PACS, CT1]
  # Refuse everyone who is not under peers (see networks and may_store there).
  # known_peers_only: false
  # With a certificate the port speaks TLS, and nothing else. The files are read again when
  # they change.
  # tls:
  #   certificate: ""                  # PEM, with its chain
  #   key: ""                          # PEM, no password; empty: in the certificate's file
  #   ca: ""                           # the authorities of client certificates, PEM
  #   client_certificates: required    # required, optional or ignored
  #   bind_aetitle: false              # the calling AE title must be a name in the certificate
  #   handshake: 10s
  # How long running associations may take to end when the node stops.
  # grace: 10s
  # Deadlines for associations that others open to us.
  # timeouts:
  #   acse: 30s       # for an association request, and for its release
  #   dimse: 60s      # for the next part of a message that has begun
  #   network: 2m     # for an association on which nothing happens

storage:
  # The database. SQLite needs nothing else. For PostgreSQL, let the environment or a
  # ~/.pgpass file have the password: postgresql://node@db.example.org/node
  resources: "sqlite:///var/node.db"
  # Where received images are kept.
  directory: "var/dicom"
  # study:   <Study>/<Series>/<SOP>.dcm
  # patient: <PatientID>/<Study>/<Series>/<SOP>.dcm
  # image:   <SOP>.dcm
  layout: study

# The PACSs that we find, move, and send to, each under a name of your choice.
peers:
  pacs:
    # Where two peers have one title, what neither was asked for counts as sent by none of them.
    aetitle: ORTHANC
    host: 127.0.0.1
    port: 4242
    # How we introduce ourselves to it; node.aetitle unless said.
    # calling_aetitle: NODE
    # Where it calls us from, such as 10.1.2.3 or 10.1.0.0/16; anywhere when the list is empty.
    # networks: []
    # The AE titles under which it may send to us; its own unless said.
    # may_store: [ORTHANC]
    # ... and under which it may query us, retrieve from us (C-MOVE, C-GET), and ask us to commit
    # to what it has sent (Storage Commitment); none unless said.
    # may_query: []
    # may_retrieve: []
    # may_commit: []
    # What it is shown and given: of these projects and modalities only; all when empty.
    # only_projects: []
    # only_modalities: []
    # Show and give it no study of which images are still to come.
    # hide_incomplete: false
    # Over how many associations at once images of one C-MOVE are sent to it.
    # retrieve_associations: 1
    # The base URL of its DICOMweb service, such as https://pacs.example.org/dicom-web. Where
    # there is one, find asks there (QIDO-RS); aetitle, host and port can then be left out.
    # url: ""
    # How it is asked for images: move (C-MOVE), get (C-GET), wado (WADO-RS, at its url), or auto:
    # C-MOVE where it offers that, else C-GET, and WADO-RS where it has a url alone.
    # retrieve: auto
    # The login there: user and password, or a bearer token. Let a file or the environment have
    # what is secret: DICOM_NODE__PEERS__PACS__CREDENTIALS__TOKEN.
    # credentials:
    #   user: ""
    #   password: ""
    #   password_file: ""
    #   token: ""
    #   token_file: ""
    # TLS for the connections that we open to it; that of its URL is in force with https.
    # tls:
    #   enabled: false
    #   ca: ""            # the authorities of its certificate, PEM; empty: the system's
    #   certificate: ""   # ours, where it asks for one
    #   key: ""           # empty: in the certificate's file
    #   server_name: ""   # the name in its certificate; empty: its host
    #   check_name: true
    # timeouts:
    #   connect: 10s
    #   acse: 30s       # for the answer to an association request or release
    #   dimse: 60s      # for the next message of a running operation
    #   network: 2m     # for an association on which nothing happens
    # How gently images are retrieved from it: true or false, and a duration; null: as move says.
    # throttle: null
    # pause: null
    # The hours in which we ask it and retrieve from it, beside those of find and move.
    # hours: ""
    # holidays: []
    # holidays_as: sun
    # What of its studies is wanted, in place of move.want.
    # want:
    #   modality: []
    #   sop_class: []
    #   min_images: null
    #   max_images: null
    #   study_description: []
    #   series_description: []
    # The most associations that we have with it at once: all nodes, finds and moves together.
    # associations: ""    # any number
    # The most that is moved from it in a night: from when the hours open until they close.
    # budget:
    #   studies: ""       # any number
    #   bytes: ""         # such as 200GB
    #   duration: ""      # of retrievals, added up, such as 4h
    # What is known of it, in place of what `dicom-node probe pacs` finds out.
    # profile:
    #   cap: unknown              # how many studies it answers at most; 0: any number
    #   cap_kind: unknown         # and beyond: cut, empty, refused or announced
    #   widest: unknown           # how many days one question may span; 0: any number
    #   dates: unknown            # true where ranges of study dates are matched
    #   times: unknown            # true where ranges of study times are, within one day
    #   combined: unknown         # true where both together are one range of moments
    #   wildcards: unknown        # true where * matches, in Patient ID and Accession Number
    #   uid_lists: unknown        # true where each Study Instance UID of a list is matched
    #   modalities: unknown       # true where Modalities in Study are matched
    #   modalities_told: unknown  # true where they are told
    #   counts: unknown           # true where Number of Study Related Instances is told
    #   empty_keys: unknown       # true where an empty key matches everything
    #   universal: unknown        # true where a question without a date is answered
    #   repository: unknown       # true where Repository Query is offered
    #   study_root: unknown       # true where C-FIND is, in the Study Root model
    #   patient_root: unknown     # true where it is in the Patient Root model
    #   get: unknown              # true where C-GET is, in the Study Root model
    #   operations: unknown       # how many go over one association; 0: any number
    #   associations: unknown     # how many of ours it takes at once; 0: any number

# What `dicom-node run` looks for by itself. Without "every" it does not.
find:
  # The peers to ask; all of them when the list is empty.
  # peers: [pacs]
  # every: 1h
  # The hours in which to ask. They may cross midnight, and have days and a time zone.
  # hours: "mon-fri 20:00-06:00, sat-sun 00:00-24:00 Europe/Paris"
  # Dates, or days of every year, on which the hours of another day of the week hold.
  # holidays: [2026-12-24, 12-25, 01-01]
  # holidays_as: sun
  # Begin by up to so much later than it is due, each time and at each node another time.
  # jitter: 5m
  # How far back to look at least, by study date ...
  # lookback: 7d
  # ... or a fixed range of study dates: all that is ever asked for.
  # start_date: 2024-01-01
  # end_date: 2024-12-31
  # When a date whose studies are all known is asked for again, by how long ago it is.
  # proof:
  #   newest: 7d          # up to this age: in each cycle
  #   recent: 90d         # up to this age: once the proof is as old as ...
  #   recent_every: 1d
  #   past: 1095d         # up to this age, three years: once it is as old as ...
  #   past_every: 30d
  #   older_every: 365d   # all others; off: never again
  # Only studies with one of these modalities.
  # modality: [CT, MR]
  # Attributes to ask for beside those that the tables have columns for.
  # search_fields: [ReferringPhysicianName, StudyID]
  # A minute with more studies than a peer answers is split by these keys, in this order.
  # axes: [ModalitiesInStudy, AccessionNumber, PatientID]
  # Ask for the studies without a date as well: a question that names no date, once a day.
  # undated: false
  # Ask for all studies with dates after today as well, by one question in each cycle.
  # ahead: false
  # How many peers are asked at once; each of them one question after the other.
  # concurrency: 1
  # Where a PACS does not say how many images a study has, count them by its series ...
  # counts: false
  # ... and again when so much time has passed, or the study has changed.
  # recount: 30d
  # A question without a new answer is given up after this long ...
  # timeout: 5m
  # ... and in any case after this long.
  # total_timeout: 1h

# What `dicom-node run` retrieves by itself. Without "every" it does not.
move:
  # peers: [pacs]
  # every: 10m
  # hours: "20:00-06:00"
  # holidays: []
  # holidays_as: sun
  # Which of the studies of one priority comes first: oldest, newest, or listed (as found).
  # order: oldest
  # What of studies is wanted; whatever is left out restricts nothing. What is not wanted is not
  # asked for, and a study is complete without it.
  # want:
  #   modality: []
  #   sop_class: []           # UIDs, or names: [CT Image Storage]
  #   min_images: null
  #   max_images: null
  #   study_description: []   # patterns of text: ["*thorax*"]
  #   series_description: []
  # The most studies of one cycle; all when absent.
  # limit: 100
  # How many studies are asked for at once, each over an association of its own.
  # concurrency: 2
  # Whether a peer is asked for less at once while it is slow to answer.
  # throttle: true
  # How long to wait after each retrieval before the next over the same association.
  # pause: 0s
  # A study is judged when none of its images has arrived for this long.
  # settle: 10s
  # A study's retrieval without any sign of progress is given up after this long ...
  # timeout: 10m
  # ... and in any case after this long.
  # total_timeout: 12h
  # An incomplete study is tried again after this long, then twice this long, and so on ...
  # retry: 5m
  # ... up to this long.
  # retry_limit: 1d
  # After so many attempts in a row that brought nothing, a study is given up until there is news
  # of it, or it is moved by command.
  # attempts: 10
  # Move one study alone from each peer when the hours open, and the rest when it has come.
  # canary: false
  # The most that is moved from all peers together in a night.
  # budget:
  #   studies: 2000
  #   bytes: 1TB
  #   duration: 20h   # of retrievals, added up

# What is answered when others ask, whom may_query, may_retrieve and may_commit allow it.
answer:
  # The most matches of a query; one that has more ends with 0xA700. Any number when absent.
  # limit: 100000
  # The most headers that are read for keys of which the index has no column; beyond, refused.
  # examine: 10000
  # How many queries are answered at once, and how many C-MOVEs and C-GETs send.
  # queries: 4
  # retrievals: 4
  # How long the report on a storage commitment waits for what is received and not indexed yet, and
  # how long it is tried to report, from when it was asked for.
  # commit_wait: 15m
  # commit_give_up: 7d

# Who is told what has happened, each under a name of your choice: a program, which gets the event
# as JSON on its standard input, or a URL, to which it is sent.
hooks:
  # lab:
  #   events: [study_complete, study_failed, cycle_end, alarm]
  #   command: [/opt/told/told.sh, --from, dicom-node]
  #   timeout: 30s
  #   include_patient_data: false
  #   concurrency: 1     # how many events it is told at once
  #   retry: 5s          # what was not taken is told again after this long, then twice ...
  #   retry_limit: 1h    # ... up to this long, and so on ...
  #   attempts: 20       # ... so often at most, ...
  #   give_up: 3d        # ... and not when the event is older than this
  #   keep: 30d          # how long what became of it is kept
  # chat:
  #   events: [alarm]
  #   url: "https://hooks.example.org"
  #   secret: ""         # signs the requests; the environment is a better place, or a file
  #   secret_file: ""

# Logs go to the standard error stream.
log:
  # debug, info, warning or error. Only debug may name patients.
  level: info
  # text, or json for one object per line.
  format: text
"""


def write_template(path: Path) -> None:
    """Write a new configuration file, which only its owner can read.

    Raises
    ------
    UsageError
        There is something at `path` already; it is left alone.
    ConfigurationError
        The file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(TEMPLATE, encoding="utf-8")
    except OSError as error:
        if isinstance(error, FileExistsError) and os.path.lexists(path):
            message = f"{path} is there already, and is left as it is; name another file"
            raise UsageError(message) from error
        raise ConfigurationError(f"{path}: cannot be written: {error.strerror}") from error
