"""What a warm parent imports: all that a user server imports until its page is open, and nothing that runs.

Numpy, pandas and matplotlib are not among it: they are a kernel's, and a kernel is a process of its own.
"""

from __future__ import annotations

import gc
import importlib
import logging

SERVER = (
    "jupyterhub.singleuser.extension",
    "jupyter_server.base.handlers",
    # chosen by name, or when they are first needed
    "IPython",
    "anyio._backends._asyncio",
    "ipykernel.kernelspec",
    "jinja2.ext",
    "jupyter_client.asynchronous",
    "jupyter_client.provisioning.local_provisioner",
    "jupyter_server.services.contents.largefilemanager",
    "jupyter_server.services.kernels.connection.channels",
    "madang_lab.authorizer",
    "madang_lab.busy",
    "madang_lab.extension",
    "madang_lab.people",
    "madang_lab.tracking",
    "madang_lab.visitors",
    "psutil",
    "terminado",
    "tornado.platform.asyncio",
)
"""Beside these: the handlers of Jupyter Server's services, and the extensions that are enabled.

Only what a server that was started cold has imported as well. Not ``jupyterlab.labhubapp``, for one: importing
it changes the handlers of Jupyter Server for good.
"""


def enabled() -> list[str]:
    """The server extensions that the environment's own configuration enables."""
    from jupyter_core.paths import jupyter_config_path
    from jupyter_server.extension.config import ExtensionConfigManager

    manager = ExtensionConfigManager(read_config_path=jupyter_config_path())
    found = manager.get_jpserver_extensions()
    return sorted(name for name, on in found.items() if on)


def services() -> list[str]:
    """Modules of Jupyter Server's services, which it imports by name."""
    from jupyter_server.serverapp import JUPYTER_SERVICE_HANDLERS

    return [module for modules in JUPYTER_SERVICE_HANDLERS.values() for module in modules or ()]


def everything() -> None:
    """Import all of it; what cannot be imported is the server's own matter later, and logged here."""
    for name in (*SERVER, *services(), *enabled()):
        try:
            module = importlib.import_module(name)
            # where an extension says what it consists of; JupyterLab imports itself there
            points = getattr(module, "_jupyter_server_extension_points", None)
            if points is not None:
                points()
        except Exception:
            logging.getLogger(__name__).exception("%s cannot be imported ahead", name)
    # what is there now stays: a collection in a child would copy all the pages it touches
    gc.collect()
    gc.freeze()
