"""The runner of dashboards: what runs in the container of the environment ``dashboard``.

It shows one published notebook to visitors whom the gateway sends. It knows nothing of the Hub, has no token,
and decides nothing about who may see what: whoever holds the key is the gateway.

Words:

- *visit*: one look at the dashboard by one visitor. The gateway names it, by a name nobody can guess. It has
  one kernel, one page, and ends with it.
- *seat*: room for one visit's kernel in this container's memory.
- *framework*: what turns the notebook into a page (:class:`madang_dashboard.framework.Framework`); Voila.

Rules, which do no input or output and are told the time: :mod:`.messages`, :mod:`.limits`, :mod:`.seats`,
:mod:`.visits`, :mod:`.errors`, :mod:`.environment`, :mod:`.prepared`. The rest are adapters.
"""
