"""Bundles: all of Madang in one file, for machines without a network.

A *bundle* is a plain tar file. Everything in it lies below ``madang-bundle/``:

- ``load/``: the loader, a program of the standard library alone (``python3 madang-bundle/load``)
- ``source/``: the checkout, documentation and lessons included
- ``wheels/``: the packages of ``locks/tool.txt`` and ``locks/hub.txt``, in which ``madang`` itself runs
- ``images.tar.zst`` or ``images.tar.gz``: the images, as ``docker save`` writes them
- ``manifest.json``, last: what the bundle is, and size and SHA-256 of every other file

``manifest`` and ``contents`` are the rules, ``archive`` the tar file, ``creating`` and ``loading`` the two
ways. All but ``creating`` travel inside the loader: they import nothing from outside the standard library.
"""
