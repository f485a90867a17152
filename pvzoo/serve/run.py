"""Run the server: one process, one port, and an orderly end."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import uvicorn

from pvzoo.errors import PvzooError
from pvzoo.serve.gate import Gate
from pvzoo.web.memory import keep_buffers, share_arenas, trim


def serve(app: Gate, *, host: str = "127.0.0.1", port: int = 8000, drain: float = 1.0) -> None:
    """Serve an application of `build` until SIGTERM or Ctrl-C.

    Then the server says that it is not ready, goes on for `drain` seconds, takes no more
    connections, answers what it has accepted, and ends.

    Args:
        app: From `build`.
        host: The address to listen at; "0.0.0.0" lets other machines in.
        port: The port.
        drain: Seconds between the signal and the end of new connections.

    Raises:
        PvzooError: The server cannot listen there.
    """
    share_arenas()
    keep_buffers()
    threading.Thread(target=_sweep, daemon=True).start()
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=round(app.limits.seconds) + 5,
    )
    try:
        _Server(config, app, drain).run()
    except SystemExit as error:  # uvicorn's way to say that it could not start
        raise PvzooError(
            f"The server cannot listen at {host}:{port}.",
            "The port may be in use: choose another --port.",
        ) from error


class _Server(uvicorn.Server):
    """Goes on for a while after the signal, so that no client finds a closed door.

    Balancers learn by /health/ready that they should choose another server, and clients by
    ``Connection: close`` that they should open another connection.
    """

    def __init__(self, config: uvicorn.Config, app: Gate, drain: float) -> None:
        super().__init__(config)
        self._gate = app
        self._drain = drain

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Begin to stop; a second signal stops without waiting for answers."""
        if self._gate.stopping:
            self.should_exit = self.force_exit = True
            return
        self._gate.stopping = True
        asyncio.get_running_loop().call_later(self._drain, self._close)

    def _close(self) -> None:
        self.should_exit = True


def _sweep() -> None:
    """Return free memory to the system, every ten seconds."""
    while True:
        time.sleep(10)
        trim()
