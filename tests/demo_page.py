"""A demo that runs, asked over HTTP as anybody could, and a server that must not be reached."""

import asyncio
import io
import json
import threading
import uuid
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

META = {"_type": "gradio.FileData"}


class Page:
    """A demo that runs, and the ways to ask it."""

    def __init__(self, app, endpoint="/predict"):
        self.app = app
        self.base = app.local_url.rstrip("/")
        self.api = f"{self.base}/gradio_api"
        self.functions = {fn.api_name: fn for fn in app.fns.values()}
        info = httpx.get(f"{self.api}/info").json()["named_endpoints"][endpoint]
        options = info["parameters"][1:]
        self.defaults = {p["parameter_name"]: p.get("parameter_default") for p in options}

    def upload(self, data, name):
        """The path that Gradio gives it."""
        sent = httpx.post(f"{self.api}/upload", files={"files": (name, data)})
        return sent.json()[0]

    def arguments(self, image, options):
        return [image, *(options.get(name, value) for name, value in self.defaults.items())]

    def call(self, image, **options):
        """The simple API: (event, what came with it)."""
        body = {"data": self.arguments(image, options)}
        joined = httpx.post(f"{self.api}/call/predict", json=body).json()
        came = httpx.get(f"{self.api}/call/predict/{joined['event_id']}", timeout=30).text
        event, data = came.strip().splitlines()[-2:]
        return event.removeprefix("event: "), json.loads(data.removeprefix("data: "))

    def run(self, image, **options):
        """The API without the queue."""
        body = {"data": self.arguments(image, options)}
        came = httpx.post(f"{self.api}/run/predict", json=body, timeout=30)
        return ("complete", came.json()["data"]) if came.is_success else ("error", came.json())

    def queue(self, image, session=None, **options):
        """The queue, as the page uses it."""
        return self.join("predict", self.arguments(image, options), session=session)

    def show(self, image, name):
        """A private function of the page, with the values that its controls begin with."""
        values = [getattr(block, "value", None) for block in self.functions[name].inputs[1:]]
        if name == "_show_some":
            values[-1] = []  # no box is ticked
        return self.join(name, [image, *values])

    def join(self, name, data, session=None, **more):
        session = session or uuid.uuid4().hex
        body = {"fn_index": self.functions[name]._id, "data": data, "session_hash": session, **more}
        joined = httpx.post(f"{self.api}/queue/join", json=body)
        assert joined.status_code == 200, joined.text
        with httpx.stream(
            "GET", f"{self.api}/queue/data", params={"session_hash": session}, timeout=30
        ) as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data: ")) if line else {}
                if message.get("msg") == "process_completed":
                    output = message["output"]
                    return ("complete", output["data"]) if message["success"] else ("error", output)
        raise AssertionError("the stream ended without an answer")

    def tool(self, **arguments):
        """The tool of agents, over the Model Context Protocol: whether it failed, and its text."""
        from mcp import ClientSession
        from mcp.client.streamable_http import streamablehttp_client

        async def talk():
            async with (
                streamablehttp_client(f"{self.api}/mcp/") as (read, write, _),
                ClientSession(read, write) as session,
            ):
                await session.initialize()
                (tool,) = (await session.list_tools()).tools
                answer = await session.call_tool(tool.name, arguments)
                texts = [part.text for part in answer.content if part.type == "text"]
                return answer.isError, " ".join(texts)

        return asyncio.run(talk())


def encoded(image, kind="PNG"):
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


@contextmanager
def counting_server():
    """A service that strangers must not reach, and its ``visits``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Counting)
    server.visits = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


class _Counting(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.visits.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass
