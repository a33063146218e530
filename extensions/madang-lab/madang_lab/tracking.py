"""The tracking server, asked for this person's own runs with this server's own token.

Over its REST API: importing MLflow's client would cost the server seconds and memory. What comes of the
answers is decided in ``my_runs.py``.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from madang_lab.my_runs import POINTS, first_of_each, row, wanted
from madang_lab.runs import BASELINE, ROLE_TAG, Run, points, runs_from
from madang_lab.service import wait

SECONDS = 10.0
"""The longest that an answer may take."""
MAX_ANSWER = 8 * 2**20
"""Bytes of an answer at most; runs carry their parameters, tags and data sets with them."""
FRESH = 5.0
"""Seconds for which an answer serves all of a person's tabs."""
SHOWN = 15
"""Runs in the panel."""
EXPERIMENTS = 200
"""Experiments that are looked through, those that changed last."""
REMEMBERED = 200
"""Curves of finished runs, which do not change, are asked for once; so many are kept."""


class TrackingAwayError(Exception):
    """The tracking server does not answer, or not as agreed; the message is for the log."""


@dataclass(frozen=True)
class Place:
    """Where this server logs to.

    Attributes:
        uri: the tracking server as this process reaches it, without a slash at its end.
        pages: the same for the person's browser, with a slash.
        token: this server's own.
        workspace: the person's.
        experiment: where a run goes that names none.
    """

    uri: str
    pages: str
    token: str
    workspace: str
    experiment: str

    @property
    def home(self) -> str:
        """The browser's address of this workspace's experiments."""
        return f"{self.pages}#/experiments?workspace={quote(self.workspace, safe='')}"


def place_of(environ: Mapping[str, str]) -> Place | None:
    """What the environment says; None where it names no tracking server of Madang's."""
    uri = environ.get("MLFLOW_TRACKING_URI", "").rstrip("/")
    token, workspace = environ.get("MLFLOW_TRACKING_TOKEN", ""), environ.get("MLFLOW_WORKSPACE", "")
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or not parts.path or not token or not workspace:
        return None
    # the proxy serves it to both, under one path; the host is the Hub's where servers have their own
    pages = f"{environ.get('JUPYTERHUB_HOST', '')}{parts.path}/"
    return Place(uri, pages, token, workspace, environ.get("MLFLOW_EXPERIMENT_NAME", ""))


class Tracking:
    """One person's runs at ``place``."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._asking = asyncio.Lock()
        self._rows: list[dict[str, Any]] | None = None
        self._trouble = ""
        self._failures = 0
        self._asked = float("-inf")
        self._curves: OrderedDict[tuple[object, ...], list[tuple[int, float]]] = OrderedDict()

    @property
    def place(self) -> Place:
        """Where is asked."""
        return self._place

    async def latest(self) -> list[dict[str, Any]]:
        """The newest runs as the panel shows them, at most :data:`FRESH` seconds old.

        Raises:
            TrackingAwayError: there is no answer; after a failure nothing is asked for a while that grows.
        """
        async with self._asking:
            pause = wait(self._failures) if self._failures else FRESH
            if time.monotonic() - self._asked >= pause:
                try:
                    self._rows = await self._look()
                    self._trouble, self._failures = "", 0
                except TrackingAwayError as error:
                    self._rows, self._trouble = None, str(error)
                    self._failures += 1
                self._asked = time.monotonic()
            if self._rows is None:
                raise TrackingAwayError(self._trouble)
            return self._rows

    async def _look(self) -> list[dict[str, Any]]:
        names = _names(
            await self._ask(
                "experiments/search",
                body={"max_results": EXPERIMENTS, "order_by": ["last_update_time DESC"]},
            )
        )
        if not names:
            return []
        runs = await self._runs(list(names), SHOWN)
        there = sorted({run.experiment for run in runs})
        # backticks because of the point in the tag's name
        only = f"tags.`{ROLE_TAG}` = '{BASELINE}'"
        baselines = first_of_each(await self._runs(there, 50, only)) if there else {}
        curves = await self._histories(runs, wanted(runs, baselines))
        pages, workspace = self._place.pages, self._place.workspace
        return [
            row(
                run,
                names.get(run.experiment, ""),
                baselines.get(run.experiment),
                curves.get(run.id, []),
                pages,
                workspace,
            )
            for run in runs
        ]

    async def _runs(self, experiments: Sequence[str], most: int, only: str = "") -> list[Run]:
        body = {
            "experiment_ids": experiments,
            "filter": only,
            "max_results": most,
            "order_by": ["attributes.start_time DESC"],
        }
        return runs_from(await self._ask("runs/search", body=body))

    async def _histories(
        self, runs: Sequence[Run], metrics: Mapping[str, str]
    ) -> dict[str, list[tuple[int, float]]]:
        """Steps and values of each run's metric, one question per name of a metric."""
        found: dict[str, list[tuple[int, float]]] = {}
        unknown: dict[str, list[tuple[str, tuple[object, ...]]]] = {}
        for run in runs:
            name = metrics.get(run.id)
            if name is None:
                continue
            last = (run.metrics or {})[name]
            # another last value is another curve
            key: tuple[object, ...] = (run.id, name, repr(last.value), last.step, last.time)
            if key in self._curves:
                found[run.id] = self._curves[key]
            else:
                unknown.setdefault(name, []).append((run.id, key))
        for name, those in unknown.items():
            query = [("run_ids", run) for run, _ in those]
            query += [("metric_key", name), ("max_results", str(POINTS))]
            answer = points(await self._ask("metrics/get-history-bulk-interval", query=query))
            for run_id, key in those:
                found[run_id] = self._curves[key] = answer.get(run_id, [])
        while len(self._curves) > REMEMBERED:
            self._curves.popitem(last=False)
        return found

    async def _ask(
        self,
        path: str,
        *,
        body: Mapping[str, object] | None = None,
        query: Sequence[tuple[str, str]] = (),
    ) -> object:
        # imported when asked for the first time: most servers start without the panel open
        from tornado.httpclient import HTTPClientError, HTTPRequest
        from tornado.simple_httpclient import SimpleAsyncHTTPClient

        url = f"{self._place.uri}/api/2.0/mlflow/{path}"
        request = HTTPRequest(
            f"{url}?{urlencode(query)}" if query else url,
            method="GET" if body is None else "POST",
            body=None if body is None else json.dumps(body),
            headers={
                "Authorization": f"Bearer {self._place.token}",
                "X-MLFLOW-WORKSPACE": self._place.workspace,
                "Accept": "application/json",
                "Content-Type": "application/json",
            },
            connect_timeout=SECONDS,
            request_timeout=SECONDS,
            # a redirect would carry the token elsewhere
            follow_redirects=False,
        )
        client = SimpleAsyncHTTPClient(force_instance=True, max_body_size=MAX_ANSWER)
        try:
            reply = await client.fetch(request)
            return json.loads(reply.body)
        except HTTPClientError as error:
            raise TrackingAwayError(f"{path}: status {error.code}") from error
        except (OSError, ValueError) as error:
            raise TrackingAwayError(f"{path}: {error.__class__.__name__}") from error
        finally:
            client.close()


def _names(answer: object) -> dict[str, str]:
    """The names of experiments by their ids."""
    found = answer.get("experiments") if isinstance(answer, dict) else None
    rows = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return {
        str(one["experiment_id"]): str(one.get("name", ""))
        for one in rows
        if one.get("experiment_id")
    }
