"""MLflow takes our store of workspaces, and it asks the database as seldom as it says."""

import subprocess
import textwrap
from pathlib import Path

from support.tracking import mlflow_python


def test_a_workspace_is_looked_up_once_and_its_end_is_noticed(tmp_path: Path) -> None:
    script = """
        import os
        from mlflow.entities import Workspace
        from mlflow.exceptions import MlflowException
        from mlflow.server.workspace_helpers import _get_workspace_store
        from mlflow.server.workspace_helpers import resolve_workspace_from_header
        from sqlalchemy import event

        store = _get_workspace_store()
        asked = []

        @event.listens_for(store._engine, "before_cursor_execute")
        def note(connection, cursor, statement, parameters, context, executemany):
            if "FROM workspaces" in statement:
                asked.append(parameters)

        def there(name):
            try:
                return resolve_workspace_from_header(name).name == name
            except MlflowException as error:
                assert error.error_code == "RESOURCE_DOES_NOT_EXIST", error
                return False

        assert not there("u-ann") and not there("u-ann")
        assert len(asked) == 2, asked  # a no is not remembered
        store.create_workspace(Workspace(name="u-ann"))
        asked.clear()
        assert all(there("u-ann") for _ in range(50))
        assert len(asked) == 1, asked
        store.update_workspace(Workspace(name="u-ann", description="new"))
        assert resolve_workspace_from_header("u-ann").description == "new"
        store.delete_workspace("u-ann")
        assert not there("u-ann")
        """
    run = subprocess.run(
        [mlflow_python(), "-W", "ignore", "-c", textwrap.dedent(script)],
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{tmp_path}/mlflow.db",
            "MLFLOW_ENABLE_WORKSPACES": "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-4000:]
