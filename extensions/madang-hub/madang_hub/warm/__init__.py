"""Instant start: servers that have everything imported before anybody asks for one.

Embedded mode: ``parents.py`` and ``claimed.py``. Server mode: ``pool.py`` is the rule of how many wait,
``servers.py`` what happens when, ``containers.py`` and ``lines.py`` the ways to the engine and to a waiting
server. See docs/explanation/instant-start.md.
"""
