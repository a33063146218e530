"""As much of a Hub, of the people service and of the broker of accelerators as one user server asks for; a test
says what they answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Told:
    """One request to a service."""

    method: str
    path: str
    body: Any
    language: str


@dataclass
class FakeHub:
    """``people`` maps a token to the name of who holds it; ``inside`` are those whom the Hub lets in."""

    owner: str
    people: dict[str, str]
    inside: set[str]
    me: dict[str, Any] = field(default_factory=dict)
    refusal: str = ""
    down: bool = False
    away: bool = False
    lending: dict[str, Any] | None = None
    told: list[Told] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, method: str, path: str, token: str, body: Any, language: str) -> Any:
        """Status and body."""
        self.asked.append(path)
        if path.startswith("/services/people/"):
            if self.away:
                return 503, None
            if self.people.get(token) != self.owner:
                return 403, {"message": "not the server's token"}
            path = path.removeprefix("/services/people/")
            self.told.append(Told(method, path, body, language))
            if path == "api/me":
                return 200, self.me
            if path.endswith("/end"):
                self.me = {**self.me, "look_ins": []}
                # the share is taken back
                self.inside &= {self.owner}
                return 204, None
            if self.refusal:
                return 409, {"status": 409, "message": self.refusal}
            return 200, {}
        if path.startswith("/services/accelerators/"):
            return self._broker(method, path, token, body, language)
        if self.down:
            return 503, {"message": "down"}
        if path == "/hub/api/user":
            name = self.people.get(token)
            if name is None:
                return 403, {"message": "unknown token"}
            scopes = [f"access:servers!user={self.owner}"] if name in self.inside else []
            return 200, {"name": name, "kind": "user", "admin": False, "scopes": scopes}
        return 200, {"version": "6.1.1"}

    def _broker(self, method: str, path: str, token: str, body: Any, language: str) -> Any:
        if self.lending is None:
            return 404, None
        if self.people.get(token) != self.owner:
            return 403, {"message": "not the server's token"}
        path = path.removeprefix("/services/accelerators/")
        self.told.append(Told(method, path, body, language))
        if path == "api/":
            return 200, self.lending
        if self.refusal:
            return 409, {"status": 409, "message": self.refusal}
        return 200, {}


@contextmanager
def fake_hub(hub: FakeHub) -> Iterator[FakeHub]:
    """``hub`` on a loopback port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def _answer(self, method: str) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            token = self.headers.get("Authorization", "").rpartition(" ")[2]
            language = self.headers.get("Accept-Language", "")
            body = json.loads(data) if data else None
            status, content = hub.answer(method, self.path, token, body, language)
            reply = b"" if content is None else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("X-JupyterHub-Version", "6.1.1")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *words: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
