"""An example or two for each command, as its help and the operating guide show them.

A test parses them with the command that they are for, and looks for them in the guide.
"""

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "echo": ("echo pacs",),
    "probe": ("probe pacs", "probe pacs --show"),
    "query": (
        "query pacs -k StudyDate=-7d -k ModalitiesInStudy=CT,MR",
        "query pacs -k StudyInstanceUID=2.25.4711 --level series",
        "query here -k PatientID=P-0001",
    ),
    "get": ("get pacs --study 2.25.4711 -o images",),
    "fetch": (
        "fetch pacs --study 2.25.4711 --study 2.25.4712 -o images --layout study",
        "fetch pacs --patient-id P-0001 -o images --retrieve move --aetitle TOOLS --port 11120",
    ),
    "find": (
        "find pacs --last 7d",
        "find pacs --from 2024-01-01 --to 2024-01-31 --modality CT",
        "find pacs --from 2019-01-01 --to 2019-12-31 --plan",
        "find pacs --from 2019-01-01 --to 2019-12-31 --only-gaps",
        "find --last 30d --concurrency 3",
        "find pacs --last 1d --ahead",
        "find --due",
        "find pacs --list studies.csv --result found.csv",
    ),
    "move": (
        "move pacs --limit 10",
        "move --project knee-2026",
        "move --from archive --from pacs --list studies.csv --until 06:00",
        "move --list studies.csv --plan",
    ),
    "hold": (
        'hold 2.25.4711 --reason "the archive is being migrated"',
        "hold --list studies.csv --peer pacs",
    ),
    "release": ("release 2.25.4711", "release --peer pacs"),
    "retry": ("retry 2.25.4711", "retry --peer pacs"),
    "cancel": ("cancel --peer pacs", "cancel 2.25.4711 --hold"),
    "send": ("send pacs /data/export",),
    "parse": (
        "parse -i /data/export --create-tables",
        "parse -i /data/export --fmt csv -o images.csv",
    ),
    "run": ("run -f /etc/dicom-node/node.yaml",),
    "status": ("status --limit 5",),
    "explain": (
        "explain 2.25.4711",
        "explain --accession A00017 --all",
        "explain 2.25.4711.1.12 --study 2.25.4711",
    ),
    "report": (
        "report --fmt html -o sheet.html",
        "report --project knee-2026 --fmt csv -o knee.csv",
    ),
    "expect": ("expect pacs",),
    "coverage": (
        "coverage --as-of 2024-01-31 --json",
        "coverage pacs",
        "coverage pacs --from 2019-01-01 --to 2019-12-31",
    ),
    "cycles list": ("cycles list --limit 5",),
    "cycles show": ("cycles show 17",),
    "cycles pause": ("cycles pause 17",),
    "cycles resume": ("cycles resume 17",),
    "cycles cancel": ("cycles cancel 17 18",),
    "hooks list": ("hooks list --state failed",),
    "hooks show": ("hooks show 17",),
    "hooks retry": ("hooks retry", "hooks retry 17 18"),
    "verify": ("verify --sample 5",),
    "sample": ("sample 20 pacs", "sample 100 --project knee-2026 --seed 4711"),
    "reconcile": ("reconcile --fix",),
    "quarantine list": ("quarantine list --kind conflict",),
    "quarantine retry": ("quarantine retry 17",),
    "quarantine accept": ("quarantine accept 17",),
    "quarantine discard": ("quarantine discard 17 18",),
    "quarantine export": ("quarantine export 17 18 -o copies",),
    "project create": ('project create knee-2026 --description "Knee study, request 17"',),
    "project add": (
        "project add knee-2026 --csv studies.csv",
        "project add knee-2026 --last 30d --modality MR",
    ),
    "project remove": ("project remove knee-2026 --study 2.25.4711",),
    "project priority": ("project priority knee-2026 5",),
    "project list": ("project list",),
    "project show": ("project show knee-2026 --missing",),
    "project export": ("project export knee-2026 -o export",),
    "project delete": ("project delete knee-2026 --yes",),
    "manifest create": ("manifest create --project knee-2026 -o knee.sha256",),
    "manifest verify": (
        "manifest verify knee.sha256",
        "manifest verify knee.sha256 --directory /mnt/copy",
    ),
    "db init": ("db init",),
    "db upgrade": ("db upgrade --dry-run",),
    "db current": ("db current",),
    "db dump": ("db dump -o out --table patients --table images",),
    "db mirror": ("db mirror --target sqlite:///var/mirror.db",),
    "config init": ("config init node.yaml",),
    "config show": ("config show",),
    "config check": ("config check -f node.yaml",),
    "simulate": (
        "simulate --destination NODE=127.0.0.1:11112",
        "simulate --behaviour pacs.yaml --port 11113",
    ),
    "demo": ("demo --folder /tmp/demo",),
}
"""By command, without the program's name."""
