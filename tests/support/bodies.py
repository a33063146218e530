"""Changes of a body of the engine's create call, for tables of what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Change = Callable[[dict[str, Any]], None]


def host(**values: Any) -> Change:
    return lambda body: body["HostConfig"].update(values)


def top(**values: Any) -> Change:
    return lambda body: body.update(values)


def without(key: str) -> Change:
    def change(body: dict[str, Any]) -> None:
        (body if key in body else body["HostConfig"]).pop(key)

    return change


def label(**values: str | None) -> Change:
    def change(body: dict[str, Any]) -> None:
        for key, value in values.items():
            name = key.replace("__", "/").replace("_", ".")
            if value is None:
                body["Labels"].pop(name)
            else:
                body["Labels"][name] = value

    return change


def bind(*binds: str) -> Change:
    return host(Binds=list(binds))


def cases(word: str) -> st.SearchStrategy[str]:
    return st.lists(st.booleans(), min_size=len(word), max_size=len(word)).map(
        lambda up: "".join(c.upper() if u else c.lower() for c, u in zip(word, up, strict=True))
    )
