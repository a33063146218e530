"""What is imported ahead: what a user server imports until its page is open, and nothing that runs.

Some modules keep what they read of the variables, of the home or of the network when they are imported: whose
home it is, or below which address the server is. Before a claim that would be the same for everybody, or
nothing: while a container waits its home is empty, and it has no network. So ``jupyterhub.singleuser`` and
``jupyterhub.services.auth`` are the server's own to import (only what they need is here), and :func:`anew`
reads the rest again. ``tests/integration/test_warm_imports.py`` looks for others.

Numpy, pandas and matplotlib are not among it: they are a kernel's, and a kernel is a process of its own
(:mod:`madang_lab.warm.kernels`). Not even a cold kernel has them before a cell imports them.
"""

from __future__ import annotations

import gc
import importlib
import logging
import sys
from collections.abc import Callable, Iterable

SERVER = (
    "jupyter_server.base.handlers",
    # what jupyterhub.singleuser needs
    "jupyterhub.handlers",
    "jupyterhub.log",
    "jupyterhub.user",
    "unittest.mock",
    # the application of the extension jupyterlab
    "jupyterlab.labapp",
    # chosen by name, or when they are first needed
    "IPython",
    "anyio._backends._asyncio",
    "ipykernel.kernelspec",
    "jinja2.ext",
    "jupyter_client.asynchronous",
    "jupyter_client.provisioning.local_provisioner",
    "jupyter_core.migrate",
    "jupyter_server.services.contents.largefilemanager",
    "jupyter_server.services.kernels.connection.channels",
    "madang_lab.authorizer",
    "madang_lab.busy",
    "madang_lab.extension",
    "madang_lab.people",
    "madang_lab.tracking",
    "madang_lab.visitors",
    "madang_lab.warm.provisioner",
    "psutil",
    "terminado",
    "tornado.platform.asyncio",
)
"""Beside these: the handlers of Jupyter Server's services, and the extensions that are enabled.

Only what a server that was started cold has imported as well. Not ``jupyterlab.labhubapp``, for one: importing
it changes the handlers of Jupyter Server for good.
"""


BOTH = (
    "IPython",
    "jupyter_client.asynchronous",
    "psutil",
    "sqlite3",
    "tornado.platform.asyncio",
    "xml.parsers.expat",
)
"""What servers and kernels import: from here on their processes part, and share this part of the memory."""

KERNEL = (
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    "ipykernel.zmqshell",
    # chosen by name, or when the first shell is made
    "IPython.core.completerlib",
    "IPython.core.debugger_backport",
    "IPython.extensions.storemagic",
    "encodings.ascii",
    "encodings.latin_1",
    "ipykernel.debugger",
    "runpy",
)
"""What a kernel imports until it has run its first cell, and nothing else."""


ANEW = (
    "send2trash.plat_other",
    "urllib3.util.connection",
    "jupyterlab.extensions.pypi",
    "jupyterlab.labapp",
)
"""Modules that keep where the home is, which proxies there are, or whether the network has IPv6.

What others took from the first three looks that up in the module itself; from the last nobody takes anything.
"""


def enabled() -> list[str]:
    """The server extensions to import that the environment's own configuration enables."""
    from jupyter_core.paths import jupyter_config_path
    from jupyter_server.extension.config import ExtensionConfigManager

    manager = ExtensionConfigManager(read_config_path=jupyter_config_path())
    found = manager.get_jpserver_extensions()
    return sorted(name for name, on in found.items() if on)


def services() -> list[str]:
    """Modules of Jupyter Server's services, which it imports by name."""
    from jupyter_server.serverapp import JUPYTER_SERVICE_HANDLERS

    return [module for modules in JUPYTER_SERVICE_HANDLERS.values() for module in modules or ()]


def both() -> None:
    """Import what servers and kernels need."""
    _imported(BOTH)


def everything() -> None:
    """Import what a server needs; what cannot be imported is its own matter later, and logged here."""
    _imported([*SERVER, *services(), *enabled()], _look_ahead)


def _look_ahead() -> None:
    from madang_lab.warm.provisioner import look_ahead

    look_ahead()


def kernel() -> None:
    """Import what a kernel needs, after :func:`both`."""
    _imported(KERNEL)


def _imported(names: Iterable[str], then: Callable[[], None] = lambda: None) -> None:
    for name in names:
        try:
            importlib.import_module(name)
        except Exception:
            logging.getLogger(__name__).exception("%s cannot be imported ahead", name)
    then()
    # what is there now stays: a collection in a child would copy all the pages it touches
    gc.collect()
    gc.freeze()


def forget_madang() -> None:
    """In a kernel: Madang's modules were there to make it, and are not among a kernel's."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "madang_lab"]:
        del sys.modules[name]


def anew() -> None:
    """Where the person's variables, home and network are there: read again what is kept of them."""
    for name in ANEW:
        if name in sys.modules:
            try:
                importlib.reload(sys.modules[name])
            except Exception:  # whatever a person's own settings lead to
                # the server meets it when it imports this itself, as one that was started cold
                del sys.modules[name]
