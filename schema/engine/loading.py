"""What an attribute does that is not loaded: an asynchronous session says so, clearly.

Looking at `study.series` cannot await, so an asynchronous session cannot load it then.
SQLAlchemy notices only when the driver tries; here it is refused before, with what to write.
"""

from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import ORMExecuteState, Session
from sqlalchemy.util.concurrency import in_greenlet

from schema.errors import NotLoaded


class AwaitedSession(Session):
    """The inside of an asynchronous session: loads nothing but what is awaited."""


@event.listens_for(AwaitedSession, "do_orm_execute")
def _refuse_hidden_load(state: ORMExecuteState) -> None:
    if in_greenlet():  # somebody awaits this
        return
    if state.lazy_loaded_from is not None:
        owner, name = _relationship(state)
        raise NotLoaded(
            f"{owner}.{name} is not loaded, and looking at it cannot wait for the database; "
            f"write select({owner}).options(selectinload({owner}.{name})), or "
            f'await session.refresh(row, ["{name}"])'
        )
    if state.is_column_load:
        raise NotLoaded(
            "an attribute of this row has expired, and looking at it cannot wait for the"
            " database; write await session.refresh(row)"
        )


def _relationship(state: ORMExecuteState) -> tuple[str, str]:
    """Return the names of the class and of the relationship that was looked at."""
    path: Any = state.loader_strategy_path
    steps: Any = () if path is None else path.path
    prop = steps[-1] if steps else None
    if prop is None or not hasattr(prop, "key"):
        return "row", "attribute"
    return prop.parent.class_.__name__, prop.key
