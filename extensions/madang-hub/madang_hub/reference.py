"""The reference pages, made from the code that they describe.

``python -m madang_hub.reference`` writes them into ``docs/reference/``; a test fails when they are stale.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from madang_hub.catalog import Catalog
from madang_hub.image_table import ADMIN, EVERYONE, TABLE
from madang_hub.permissions import (
    ACCELERATOR_ADMIN_ROLE,
    ACCELERATOR_ADMIN_SCOPES,
    ADMIN_SCOPES,
    DASHBOARD_ADMIN_ROLE,
    DASHBOARD_ADMIN_SCOPES,
    DASHBOARD_AUTHOR_ROLE,
    DASHBOARD_AUTHOR_SCOPES,
    HUB_ROLES,
    MENTOR_SCOPES,
    ON_BEHALF_SCOPES,
    SERVER_TOKEN_SCOPES,
    SERVICE_SCOPES,
    TRACKING_ADMIN_ROLE,
    TRACKING_ADMIN_SCOPES,
    USER_SCOPES,
)
from madang_hub.settings import GROUPS, PREFIX, Settings
from madang_hub.shelf import labels, sizes

_MADE = "<!-- made by `python -m madang_hub.reference`; change the code, not this page -->\n\n"


def settings_page() -> str:
    """``settings.md``: every setting with default and meaning."""
    grouped = {name for group in GROUPS for name in group.model_fields}
    lines = [
        "# Settings\n\n" + _MADE,
        "Set them in the environment or in the file `madang.env` in this folder, one `NAME=value` a line; the\n"
        "environment wins. `scripts/madang config show` prints what is in use. Nothing has to be set.\n\n",
        *_settings_table({n: f for n, f in Settings.model_fields.items() if n not in grouped}),
    ]
    for group in GROUPS:
        lines += [f"\n## {group.heading}\n\n", *_settings_table(group.model_fields)]
    return "".join(lines)


def _settings_table(fields: Mapping[str, FieldInfo]) -> Iterator[str]:
    yield "| setting | default | meaning |\n| --- | --- | --- |\n"
    for name, field in fields.items():
        default = "" if field.default_factory else _text(field.get_default())
        yield f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |\n"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        value = int(value)
    if isinstance(value, tuple):
        value = " ".join(map(str, value))
    return f"`{value}`" if value not in ("", None) else "(empty)"


def environments_page(catalog: Catalog) -> str:
    """``environments.md``: what people can start, in which sizes."""
    lines = [
        "# Environments and sizes · 실습 환경과 규격\n\n" + _MADE,
        "The one table behind this page, the picker, the build and the tests is `images/images.toml`.\n\n",
        "| environment | 실습 환경 | purpose | sizes | for | built on |\n",
        "| --- | --- | --- | --- | --- | --- |\n",
    ]
    for environment in catalog.environments.values():
        lines.append(
            f"| `{environment.name}` {environment.title.en} | {environment.title.ko} | "
            f"{environment.purpose.en}<br>{environment.purpose.ko} | {', '.join(environment.sizes)} | "
            f"{_who(environment.who)} | {' → '.join(catalog.lineage(environment.image)[1:])} |\n"
        )
    lines.append(
        "\n| size | 규격 | cores | memory | processes | for |\n| --- | --- | --- | --- | --- | --- |\n"
    )
    for size in catalog.sizes.values():
        lines.append(
            f"| `{size.name}` {size.title.en} | {size.title.ko} | {size.cpu:g} | "
            f"{size.memory / 2**30:g} GiB | {size.pids} | {_who(size.who)} |\n"
        )
    return "".join(lines)


def images_page(catalog: Catalog, root: Path) -> str:
    """``images.md``: every image, what it stands on, what it adds, how large it is."""
    noted = sizes.noted(root)
    lines = [
        "# Images\n\n" + _MADE,
        "Every image of `images/images.toml`: what it is for, what it is built on, and the packages that it\n"
        "adds by name (`requirements.in`, or the dependencies of Madang's own part); each brings what it\n"
        "needs. `size` is the whole image with its parents, unpacked, when\n"
        "`scripts/madang images --note-sizes` last noted it.\n"
        "What people may start: [environments](environments.md).\n\n",
        "| image | for | built on | adds by name | packages | size |\n",
        "| --- | --- | --- | --- | --- | --- |\n",
    ]
    for name in catalog.images:
        own = ", ".join(f"`{package}`" for package in labels.own_packages(catalog, name, root))
        facts = noted.get(name)
        count = f"{facts['python']} Python, {facts['debian']} Debian" if facts else "–"
        size = f"{facts['megabytes']} MB" if facts else "–"
        ancestors = [*catalog.lineage(name)[1:], catalog.images[catalog.lineage(name)[-1]].parent]
        lines.append(
            f"| `{name}` | {labels.description(catalog, name, root)} | "
            f"{' → '.join(ancestors)} | {own or '–'} | {count} | {size} |\n"
        )
    lines.append(
        "\nWhat an image says about itself, and where the lists of its packages are:\n"
        "[what is in an image](../explanation/images.md).\n"
    )
    return "".join(lines)


def _who(who: tuple[str, ...]) -> str:
    names = {EVERYONE: "everyone", ADMIN: "admins"}
    return ", ".join(names.get(w, f"`{w}`") for w in who)


def permissions_page() -> str:
    """``permissions.md``: every scope that Madang hands out, with its reason."""
    lines = [
        "# Permissions · 권한\n\n" + _MADE,
        "Scopes are JupyterHub's, and nothing else is handed out: a test compares this page with the roles of\n"
        "a running Hub. Who has which role follows from the directory (`madang user list`), at sign-in and\n"
        "while people are signed in (setting `MADANG_REFRESH_AGE`).\n",
    ]
    for title, scopes in (
        ("Every signed-in person (trainee, member, mentor, admin)", USER_SCOPES),
        (
            "A mentor of `class:2026-a`, as well (role `mentor.class.2026-a`)",
            {f"{scope}!group=class:2026-a": why for scope, why in MENTOR_SCOPES.items()},
        ),
        ("An admin, as well (JupyterHub's role `admin`)", ADMIN_SCOPES),
        (f"An admin, as well (role `{TRACKING_ADMIN_ROLE}`)", TRACKING_ADMIN_SCOPES),
        (f"An admin, as well (role `{ACCELERATOR_ADMIN_ROLE}`)", ACCELERATOR_ADMIN_SCOPES),
        (f"An admin, as well (role `{DASHBOARD_ADMIN_ROLE}`)", DASHBOARD_ADMIN_SCOPES),
        (f"A mentor or admin, as well (role `{DASHBOARD_AUTHOR_ROLE}`)", DASHBOARD_AUTHOR_SCOPES),
        ("The token inside a user server", SERVER_TOKEN_SCOPES),
        *((f"The service `{name}`", scopes) for name, scopes in SERVICE_SCOPES.items()),
        *(
            (f"The service `{name}`, in the name of who visits it in a browser", scopes)
            for name, scopes in ON_BEHALF_SCOPES.items()
        ),
    ):
        lines.append(f"\n## {title}\n\n| scope | why |\n| --- | --- |\n")
        lines += [f"| `{scope}` | {reason} |\n" for scope, reason in scopes.items()]
    lines.append("\n## Roles that nobody is given\n\n| role | why it is there |\n| --- | --- |\n")
    lines += [f"| `{role}` | {reason} |\n" for role, reason in HUB_ROLES.items()]
    return "".join(lines)


def pages(root: Path) -> dict[Path, str]:
    """Every reference page with its content."""
    folder = root / "docs" / "reference"
    catalog = Catalog.load(root / TABLE)
    return {
        folder / "settings.md": settings_page(),
        folder / "environments.md": environments_page(catalog),
        folder / "images.md": images_page(catalog, root),
        folder / "permissions.md": permissions_page(),
    }


def main() -> int:
    """Write the pages."""
    for path, text in pages(Path(__file__).resolve().parents[3]).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
