"""MLflow's store of workspaces, with a memory.

MLflow looks the workspace of every request up in the database, on the event loop, where all others
wait meanwhile: a quarter of what a ``log_metric`` costs. Workspaces hardly ever change, so what was
found is believed for a while. What was not found is asked for again: somebody may just be making it.

MLflow takes it from the entry point ``mlflow.workspace_provider``, by the database's kind.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

#: How long, in seconds, a workspace is believed to be there. One that another process (another
#: worker, the operator's ``mlflow``) deletes or changes is noticed after this.
SECONDS = 60.0
#: So many workspaces are remembered in each worker.
SIZE = 10_000

Value = TypeVar("Value")


class Memory(Generic[Value]):
    """Values by name, each for a time, and not more than a number of them. Any thread may use it."""

    def __init__(
        self,
        seconds: float = SECONDS,
        size: int = SIZE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._size = size
        self._clock = clock
        self._kept: dict[str, tuple[Value, float]] = {}
        self._changes = 0
        self._lock = threading.Lock()

    def get(self, name: str, find: Callable[[], Value]) -> Value:
        """What is remembered, or what ``find`` finds, which is remembered then.

        What `forget` is called for while it is being found is not kept.

        Raises:
            Exception: what ``find`` raises; nothing is remembered.
        """
        with self._lock:
            known = self._kept.get(name)
            changes = self._changes
        if known is not None and self._clock() - known[1] < self._seconds:
            return known[0]
        begun = self._clock()
        value = find()
        with self._lock:
            if changes == self._changes:
                self._kept.pop(name, None)
                self._kept[name] = (value, begun)
                if len(self._kept) > self._size:
                    # dicts keep their order and values are put in anew: the first is the oldest
                    del self._kept[next(iter(self._kept))]
        return value

    def forget(self, name: str) -> None:
        """It was deleted or changed."""
        with self._lock:
            self._kept.pop(name, None)
            self._changes += 1


def build(workspace_uri: str) -> Any:
    """The store for a database's address, as MLflow calls for it."""
    # imported late: MLflow loads this while it is being imported itself
    from mlflow.store.workspace.sqlalchemy_store import SqlAlchemyStore

    class RememberingStore(SqlAlchemyStore):
        def __init__(self, uri: str) -> None:
            super().__init__(uri)
            self._found: Memory[Any] = Memory()

        def get_workspace(self, workspace_name: str) -> Any:
            find = super().get_workspace
            return self._found.get(workspace_name, lambda: find(workspace_name))

        def update_workspace(self, workspace: Any) -> Any:
            try:
                return super().update_workspace(workspace)
            finally:
                self._found.forget(workspace.name)

        def delete_workspace(self, workspace_name: str, *args: Any, **kwargs: Any) -> None:
            try:
                super().delete_workspace(workspace_name, *args, **kwargs)
            finally:
                self._found.forget(workspace_name)

    return RememberingStore(workspace_uri)
