"""Whether the packages named as arguments can be imported; run inside a new image, without a network.

A package may bring several modules, some of them for others than us (tests, optional parts): one that is
called like the package must be importable, else any one of them.
"""

import importlib
import re
import sys
from importlib.metadata import packages_distributions


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


modules = {}
for module, names in packages_distributions().items():
    for name in names:
        modules.setdefault(normal(name), set()).add(module)
failed = False
for wanted in sys.argv[1:]:
    tried = {}
    found = sorted(m for m in modules.get(wanted, ()) if m.isidentifier())
    for module in [m for m in found if normal(m) == wanted] or found:
        try:
            importlib.import_module(module)
        except BaseException as error:
            tried[module] = f"{type(error).__name__}: {error}"
        else:
            break
    else:
        failed = True
        print(f"{wanted}: cannot be imported {tried or '(it is not installed)'}")
sys.exit(1 if failed else 0)
