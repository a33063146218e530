"""Instant start: servers that have everything imported before anybody asks for one.

Embedded mode: ``parents.py`` and ``claimed.py``. Server mode: ``pool.py`` is the rule of how many wait,
``kinds.py`` of which wait with an accelerator; ``servers.py`` is what happens when, ``stock.py`` what becomes
of each server, ``containers.py`` and ``lines.py`` are the ways to the engine and to a waiting server. See
docs/explanation/instant-start.md.
"""
