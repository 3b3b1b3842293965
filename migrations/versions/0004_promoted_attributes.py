"""Five attributes of the header get columns of their own, filled from `meta` where it has them.

Each row is read and written once, whatever it holds: JSON that is none, a number that a column
cannot hold, or text in its place leaves NULL.

Revision ID: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TEXTS = {"body_part_examined": "00180015", "patient_sex": "00100040"}
_NUMBERS = {
    "kvp": "00180060",
    "slice_thickness": "00180050",
    "magnetic_field_strength": "00180087",
}


def upgrade() -> None:
    for name in _TEXTS:
        op.add_column("images", sa.Column(name, sa.Text()))
    for name in _NUMBERS:
        op.add_column("images", sa.Column(name, sa.Double()))
    op.execute(_on_sqlite() if op.get_context().dialect.name == "sqlite" else _on_postgresql())


def _on_sqlite() -> str:
    # A lone surrogate, which JSON can express, would be text that nobody can read.
    text = "type = 'text' AND hex(value) NOT GLOB '*ED[AB]*'"
    number = "type IN ('integer', 'real') AND abs(value * 1.0) < 1e300"
    # the first value that is not empty; what is no list has no index
    given = "typeof(key) = 'integer' AND type != 'null' AND value != '' LIMIT 1"
    assignments = [
        f"{name} = (SELECT CASE WHEN {condition} THEN value END"  # noqa: S608 - all ours
        f" FROM json_each(images.meta, '$.{tag}.Value') WHERE {given})"
        for columns, condition in ((_TEXTS, text), (_NUMBERS, number))
        for name, tag in columns.items()
    ]
    # SET is evaluated only for the rows of WHERE: whatever is no JSON, or too deep, is left alone.
    return (
        "UPDATE images SET\n  "
        + ",\n  ".join(assignments)
        + "\nWHERE typeof(meta) = 'text' AND json_valid(meta)"
    )


def _on_postgresql() -> str:
    def first(tag: str) -> str:
        """Return the first value that is not empty."""
        given = '@.type() != "null" && !(@.type() == "string" && @ == "")'
        path = f'strict $."{tag}".Value[*] ? ({given})'
        return f"jsonb_path_query_first(meta, '{path}', '{{}}', true)"

    # jsonb holds numbers that a double does not: they are compared before they are cast.
    number = 'strict $ ? (@.type() == "number" && @.abs() < 1e300 && (@ == 0 || @.abs() > 1e-300))'
    assignments = [
        f"{name} = CASE WHEN jsonb_typeof({first(tag)}) = 'string' THEN {first(tag)} #>> '{{}}' END"
        for name, tag in _TEXTS.items()
    ]
    assignments += [
        f"{name} = CAST(jsonb_path_query_first({first(tag)}, '{number}', '{{}}', true)"
        " AS double precision)"
        for name, tag in _NUMBERS.items()
    ]
    return (
        "UPDATE images SET\n  "
        + ",\n  ".join(assignments)
        + "\nWHERE jsonb_typeof(meta) = 'object'"
    )
