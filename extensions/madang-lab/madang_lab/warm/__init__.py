"""Warm user servers: processes that have everything imported and wait for a claim.

``madang-warm`` (:mod:`madang_lab.warm.program`) is started in embedded mode by the Hub, one per environment. A
claim makes it fork; the child becomes the person's single-user server, and the parent goes on waiting.
``madang-wait`` (:mod:`madang_lab.warm.waiting`) waits in a container of its own in server mode, and becomes the
one server that it is claimed for. See docs/explanation/instant-start.md.
"""
