"""Instant start: servers that have everything imported before anybody asks for one.

Embedded mode has it (``parents.py``, ``claimed.py``); for server mode there is so far the rule of the pool's
size alone (``pool.py``), which nothing uses yet. See docs/explanation/instant-start.md.
"""
