"""The mounter: puts a person's home into a warm server's container that waits for one.

A part of the stack of its own (``python -m madang_hub.mounter``), because nothing else of Madang may mount.
It needs nothing beyond Python itself. ``rules.py``: what is asked and answered; ``kernel.py``: system calls;
``work.py``: one request; ``service.py``: the socket; ``client.py``: for the Hub.
See docs/explanation/isolation.md.
"""
