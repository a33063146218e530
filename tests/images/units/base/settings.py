"""Madang's settings of JupyterLab are those that the server will have."""

import importlib
from typing import Any

serverapp: Any = importlib.import_module("jupyter_server.serverapp")
app = serverapp.ServerApp(open_browser=False, ip="127.0.0.1", port=0)
app.initialize(argv=[])
assert app.config.KernelManager.transport == "ipc"
assert app.config.LabApp.extension_manager == "readonly"
assert app.config.LabApp.news_url is None
assert app.quit_button is False
assert app.terminado_settings == {"shell_command": ["madang-layer"]}
assert app.contents_manager.allow_hidden is False
assert app.contents_manager.delete_to_trash is False
on = {name for name, enabled in app.jpserver_extensions.items() if enabled}
assert on == {"jupyterlab", "jupyter_server_terminals", "madang_lab"}, on
