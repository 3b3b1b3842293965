"""Values of `images.meta` as SQL: a text, a number or an integer, else NULL, on both databases.

An element names the column and, as ``tag.item`` or ``tag.item.group``, which value of it. Printed
without a database, it reads as for SQLite.
"""

from typing import Any

from sqlalchemy import BigInteger, Double, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class HeaderText(FunctionElement[str]):
    """One value of an attribute of `meta`, as text."""

    name = "header_text"
    type = Text()
    inherit_cache = True


class HeaderInteger(FunctionElement[int]):
    """One value of an attribute of `meta`, as an integer; NULL when it is none."""

    name = "header_integer"
    type = BigInteger()
    inherit_cache = True


class HeaderNumber(FunctionElement[float]):
    """One value of an attribute of `meta`, as a number; NULL when it is none."""

    name = "header_number"
    type = Double()
    inherit_cache = True


def _parts(
    element: FunctionElement[Any],
    compiler: SQLCompiler,
    **options: Any,  # noqa: ANN401
) -> tuple[str, str, str, str]:
    """Return the column's SQL, the tag, the index and the group of the value."""
    column, where = element.clauses
    tag, item, *group = str(where).split(".")
    return compiler.process(column, **options), tag, item, "".join(group)


@compiles(HeaderText, "postgresql")
def _text_on_postgresql(element: HeaderText, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    column, tag, item, group = _parts(element, compiler, **options)
    path = ",".join(filter(None, (tag, "Value", item, group)))
    return f"({column} #>> '{{{path}}}')"


@compiles(HeaderText)
def _text_as_json(element: HeaderText, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    column, tag, item, group = _parts(element, compiler, **options)
    path = f"$.{tag}.Value[{item}]" + (f".{group}" if group else "")
    return f"CAST(json_extract({column}, '{path}') AS TEXT)"


@compiles(HeaderNumber, "postgresql")
def _number_on_postgresql(element: HeaderNumber, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    column, tag, item, _ = _parts(element, compiler, **options)
    path = f'$."{tag}".Value[{item}] ? (@.type() == "number")'
    return f"CAST(jsonb_path_query_first({column}, '{path}') AS DOUBLE PRECISION)"


@compiles(HeaderNumber)
def _number_as_json(element: HeaderNumber, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    column, tag, item, _ = _parts(element, compiler, **options)
    value = f"{column}, '$.{tag}.Value[{item}]'"
    return f"CASE WHEN json_type({value}) IN ('integer', 'real') THEN json_extract({value}) END"


@compiles(HeaderInteger, "postgresql")
def _integer_on_postgresql(element: HeaderInteger, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    column, tag, item, _ = _parts(element, compiler, **options)
    fits = f'@.type() == "number" && @ >= {-(2**63)} && @ < {2**63} && @.floor() == @'
    path = f'$."{tag}".Value[{item}] ? ({fits})'
    return f"CAST(jsonb_path_query_first({column}, '{path}') AS BIGINT)"


@compiles(HeaderInteger)
def _integer_as_json(element: HeaderInteger, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    column, tag, item, _ = _parts(element, compiler, **options)
    value = f"{column}, '$.{tag}.Value[{item}]'"
    return f"CASE WHEN json_type({value}) = 'integer' THEN json_extract({value}) END"
