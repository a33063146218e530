"""The broker: lends accelerators to people, by a JSON API and a round every few seconds.

A service of JupyterHub, in a process of its own (``python -m madang_hub.accelerators.broker``), at
``/services/accelerators/``. It knows people by the Hub's word and their teams by the directory, keeps the
queue in the Hub's database, and asks the Hub with a token of few scopes (:mod:`.scopes`). One process: what it
checks before it writes is checked by one thread (:mod:`.desk`).
"""
