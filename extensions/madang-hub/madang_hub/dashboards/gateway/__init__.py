"""The gateway of dashboards: starts the apps, begins and ends visits, and lets a visitor's frame reach its own.

Rules, which do no input or output and are told the time: :mod:`.life`, :mod:`.visits`, :mod:`.sealed`,
:mod:`.proxied`. The rest are adapters; what they give to pages is :mod:`.gateway`.
"""
