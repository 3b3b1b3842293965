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
    assignments = []
    for name, tag in _TEXTS.items():
        where = f"meta, '$.{tag}.Value[0]'"
        # A lone surrogate, which JSON can express, would be text that nobody can read.
        assignments.append(
            f"{name} = CASE WHEN json_type({where}) = 'text'"
            f" AND hex(json_extract({where})) NOT GLOB '*ED[AB]*'"
            f" THEN nullif(json_extract({where}), '') END"
        )
    for name, tag in _NUMBERS.items():
        where = f"meta, '$.{tag}.Value[0]'"
        assignments.append(
            f"{name} = CASE WHEN json_type({where}) IN ('integer', 'real')"
            f" AND abs(json_extract({where}) * 1.0) < 1e300"
            f" THEN json_extract({where}) END"
        )
    # SET is evaluated only for the rows of WHERE: whatever is no JSON, or too deep, is left alone.
    return (
        "UPDATE images SET\n  "
        + ",\n  ".join(assignments)
        + "\nWHERE typeof(meta) = 'text' AND json_valid(meta)"
    )


def _on_postgresql() -> str:
    assignments = []
    for name, tag in _TEXTS.items():
        where = f"'{{{tag},Value,0}}'"
        assignments.append(
            f"{name} = CASE WHEN jsonb_typeof(meta #> {where}) = 'string'"
            f" THEN nullif(meta #>> {where}, '') END"
        )
    for name, tag in _NUMBERS.items():
        # jsonb holds numbers that a double does not: they are compared before they are cast.
        path = (
            f'strict $."{tag}".Value[0] ? (@.type() == "number" && @.abs() < 1e300'
            " && (@ == 0 || @.abs() > 1e-300))"
        )
        assignments.append(
            f"{name} = CAST(jsonb_path_query_first(meta, '{path}', '{{}}', true)"
            " AS double precision)"
        )
    return (
        "UPDATE images SET\n  "
        + ",\n  ".join(assignments)
        + "\nWHERE jsonb_typeof(meta) = 'object'"
    )
