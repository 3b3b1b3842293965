"""Write the tables of docs/conformance.md anew: `python -m tests.conformance`."""

from tests.conformance.statement import STATEMENT, renewed
from tests.conformance.tables import tables

if __name__ == "__main__":
    text = STATEMENT.read_text(encoding="utf-8")
    STATEMENT.write_text(renewed(text, tables()), encoding="utf-8")
