"""The gate's only way to MLflow's own stores: workspaces on first use, and whose model an id is.

Everything here blocks and runs in a thread. It is the part of MLflow that this package calls as Python;
all else goes through MLflow's routes.
"""

import asyncio
from collections import OrderedDict

#: So many ids of models are remembered as belonging to a workspace.
REMEMBERED = 20_000


class Store:
    """MLflow's workspaces and models, in this process."""

    def __init__(self) -> None:
        self._made: set[str] = set()
        self._models: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def ensure(self, workspace: str, experiment: str | None) -> None:
        """Make a workspace, and an experiment in it, unless they are there.

        Args:
            workspace: its name.
            experiment: the experiment's name: what ``MLFLOW_EXPERIMENT_NAME`` says in a notebook.
        """
        if workspace not in self._made:
            await asyncio.to_thread(_make, workspace, experiment)
            self._made.add(workspace)

    async def names(self) -> frozenset[str]:
        """Every workspace there is."""
        return await asyncio.to_thread(_names)

    async def has_model(self, workspace: str, model: str) -> bool:
        """Whether a logged model's id is one of this workspace's."""
        key = (workspace, model)
        if key not in self._models:
            if not await asyncio.to_thread(_has_model, workspace, model):
                return False
            self._models[key] = None
            if len(self._models) > REMEMBERED:
                self._models.popitem(last=False)
        return True


def _make(workspace: str, experiment: str | None) -> None:
    from mlflow.entities import Workspace
    from mlflow.exceptions import MlflowException
    from mlflow.server.handlers import _get_tracking_store
    from mlflow.server.workspace_helpers import _get_workspace_store
    from mlflow.utils.workspace_context import ServerWorkspaceContext

    try:
        _get_workspace_store().create_workspace(Workspace(name=workspace))
    except MlflowException as error:  # another worker, or an earlier start, was first
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    if experiment is None:
        return
    with ServerWorkspaceContext(workspace):
        try:
            _get_tracking_store().create_experiment(experiment)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def _names() -> frozenset[str]:
    from mlflow.server.workspace_helpers import _get_workspace_store

    return frozenset(workspace.name for workspace in _get_workspace_store().list_workspaces())


def _has_model(workspace: str, model: str) -> bool:
    from mlflow.exceptions import MlflowException
    from mlflow.server.handlers import _get_tracking_store
    from mlflow.utils.workspace_context import ServerWorkspaceContext

    with ServerWorkspaceContext(workspace):
        try:
            _get_tracking_store().get_logged_model(model, allow_deleted=True)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False
    return True
