"""The dashboards service: its process, its REST API, its pages. It talks to the Hub by OAuth and REST alone.

What is published stands in :mod:`madang_hub.dashboards.store`, who may do what in the rules beside it, and what
runs behind :class:`~madang_hub.dashboards.gateway.gateway.Gateway`.
"""
