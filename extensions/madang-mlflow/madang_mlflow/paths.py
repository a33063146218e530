"""Rules about request paths: which are odd, and where a sign-in may return to.

Pure functions. They look at the path as it came over the wire (still percent-encoded), because
a server, a framework and a file store decode a path at different times, and a path that means
one thing to the gate and another to MLflow is how gates are walked around.
"""

import re
from urllib.parse import unquote_to_bytes

#: A path that still changes after this many decodings is not something a person or client sends.
MAX_DECODINGS = 4

_CONTROL = re.compile(rb"[\x00-\x1f\x7f\\]")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def odd(raw_path: bytes) -> bool:
    """Whether a raw path must be refused with 400.

    Odd are, at any depth of percent-decoding: a segment ``.`` or ``..``, an empty segment
    (``//``), a backslash, a control character, an encoded slash, bytes that are not UTF-8; and
    a path that does not begin with ``/`` or carries a broken escape.
    """
    if not raw_path.startswith(b"/") or _BAD_ESCAPE.search(raw_path):
        return True
    current = raw_path
    slashes = raw_path.count(b"/")
    for _ in range(MAX_DECODINGS):
        if _CONTROL.search(current) or b"//" in current or current.count(b"/") != slashes:
            return True
        if any(segment in (b".", b"..") for segment in current.split(b"/")):
            return True
        decoded = unquote_to_bytes(current)
        if decoded == current:
            break
        current = decoded
    else:
        return True
    try:
        current.decode()
    except UnicodeDecodeError:
        return True
    return False


def strip_prefix(path: str, prefix: str) -> str | None:
    """The path as MLflow knows it, or None when it is not under the service's prefix.

    Args:
        path: a path, decoded or not.
        prefix: begins and ends with ``/``.
    """
    return path[len(prefix) - 1 :] if path.startswith(prefix) else None


def safe_next(target: str, prefix: str) -> str:
    """Where to go after signing in: `target` if it stays within the service, else the prefix.

    Args:
        target: path and query of the page that was asked for, percent-encoded.
        prefix: begins and ends with ``/``.
    """
    path = target.partition("?")[0]
    if re.search(r"[^\x21-\x7e]|\\", target) or not path.startswith(prefix):
        return prefix
    return prefix if odd(path.encode()) else target
