"""How lessons reach a learner: from the read-only shelf of the image into the home, and newer versions of them
into what the learner already works on. How it is meant: ``docs/explanation/lessons.md``.

- ``cells.py``, ``merge.py``: rules over notebooks, no files.
- ``manifest.py``: what lessons there are. ``progress.py``: what a learner has passed.
- ``inside.py``: reading and writing in a home, whole or not at all.
- ``records.py``: what is remembered of a copy.
- ``shelf.py``: open, update, reset, choose, restore. ``overview.py``: what there is.
- ``handlers.py``, ``page.py``: the routes.
"""
