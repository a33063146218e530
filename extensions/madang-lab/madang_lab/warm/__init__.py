"""The warm parent of user servers: a process that has everything imported and waits for a claim.

``madang-warm`` (:mod:`madang_lab.warm.program`) is started in embedded mode by the Hub, one per environment. A
claim makes it fork; the child becomes the person's single-user server, and the parent goes on waiting.
See docs/explanation/instant-start.md.
"""
