"""The people service: pages and API about classes, look-ins, announcements and one's own standing.

A process of its own that the Hub starts, at ``/services/people/``. It knows people by the Hub's sign-in
(OAuth), decides by the directory, and asks the Hub with a token of few scopes (``permissions.py``).
"""
