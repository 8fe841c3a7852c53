"""A server that answers for tools which callers have registered, and who registers them."""

import asyncio
import contextlib
import http.server
import json
import threading
from typing import Any, Dict, Iterator, List

import httpx


class Callback(http.server.ThreadingHTTPServer):
    """A server on loopback; `answers` maps a path to status, headers and body, or a function that gives them. `/echo`
    answers with the arguments."""

    daemon_threads = True
    request_queue_size = 1000

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: List[Dict[str, Any]] = []
        self.answers: Dict[str, Any] = {}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return self.server_address[1]

    @contextlib.contextmanager
    def holding(self, path: str, data: bytes = b"1") -> Iterator[None]:
        """What asks for that path is answered when the block is left."""
        released = threading.Event()
        self.answers[path] = lambda: (200, {}, data) if released.wait(120) else (500, {}, b"")
        try:
            yield
        finally:
            released.set()


class Handler(http.server.BaseHTTPRequestHandler):
    disable_nagle_algorithm = True  # head and body are written apart
    server: Callback

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = {"path": self.path, "headers": headers, "body": json.loads(body)}
        self.server.seen.append(seen)
        otherwise = json.dumps(seen["body"]["args"] if self.path == "/echo" else "done").encode()
        answer = self.server.answers.get(self.path, (200, {}, otherwise))
        status, more, data = answer() if callable(answer) else answer
        try:
            self.send_response(status)
            for name, value in {"content-type": "application/json", "content-length": str(len(data)), **more}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
        except OSError:  # the gateway does not wait any more
            pass

    do_GET = do_POST

    def log_message(self, *_: Any) -> None:
        pass


class Client:
    """Registers and calls."""

    def __init__(self, url: str, server: Callback) -> None:
        self.http = httpx.Client(base_url=url, trust_env=False, timeout=60)
        self.server = server

    def describe(self, name: str, path: str = "/", **callback: Any) -> Dict[str, Any]:
        schema = {"type": "object", "properties": {"i": {"type": "integer"}}}
        url = f"http://127.0.0.1:{self.server.port}{path}"
        return {"name": name, "description": "d", "schema": schema, "callback": {"url": url, **callback}}

    def register(self, name: str, path: str = "/", session: str = "", **callback: Any) -> None:
        body = self.describe(name, path, **callback)
        if session:
            body["session_id"] = session
        answer = self.http.post("/tools", json=body)
        assert answer.status_code == 201, answer.text
        assert answer.json() == {"tools": [name]}

    def ask(self, name: str, arguments: Any = None, **more: Any) -> Any:
        body = {"tool": "ask", "args": {"name": name, "arguments": arguments or {}}, **more}
        answer = self.http.post("/execute", json=body, headers={"x-request-id": "outer"})
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    def execute(self, tool: str = "look_up", headers: Any = None, **more: Any) -> httpx.Response:
        return self.http.post("/execute", json={"tool": tool, **more}, headers=headers)

    async def execute_all(self, bodies: List[Dict[str, Any]], timeout: float = 60) -> List[Any]:
        """All at once; the answers, or why there is none."""
        limits = httpx.Limits(max_connections=None)
        url = self.http.base_url
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=timeout, limits=limits) as http:
            posts = (http.post("/execute", json=body) for body in bodies)
            return await asyncio.gather(*posts, return_exceptions=True)

    def metric(self, name: str) -> float:
        lines = self.http.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))
