"""The ASGI application: routes, and the way of a request from its bytes to its answer."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import pvzoo
from pvzoo.drift.figures import Seen
from pvzoo.inputs.images import ImageHandle
from pvzoo.serve import inference_protocol as protocol
from pvzoo.serve import request as requests
from pvzoo.serve.batches import Batches, Job
from pvzoo.serve.budget import Budget
from pvzoo.serve.drift import Drift
from pvzoo.serve.errors import RefusedError, answer_of
from pvzoo.serve.gate import Gate
from pvzoo.serve.limits import Limits
from pvzoo.serve.metrics import CONTENT_TYPE, Metrics
from pvzoo.serve.models import Models
from pvzoo.serve.openapi import describe, page
from pvzoo.serve.tiles import check_tiles
from pvzoo.web.client_images import ClientImage
from pvzoo.web.request_limit import BodyLimit, ReadToEnd

if TYPE_CHECKING:
    from pvzoo.model import Model
    from pvzoo.results.base import Result

_SMALL = 2**20
_READING = 8
"""How many requests are decoded from forms and JSON at the same time."""
_DOWNLOADING = 8
"""How many requests download images at the same time. Others do not wait for them."""
_T = TypeVar("_T")

_PATHS = {404: "There is no such address.", 405: "This address does not take this method."}


def build(
    models: Mapping[str, Model[Any] | str | Path],
    *,
    limits: Limits | None = None,
    token: str | None = None,
    drift: bool = True,
    **how: Any,
) -> Gate:
    """Make the application; `serve` runs it.

    Args:
        models: For each name in addresses: a loaded model, or what `pvzoo.load` takes.
        limits: How much the server accepts from its clients.
        drift: Whether to compare the images with those that a model was validated on, if its
            export says how those look.
        token: If given, all routes but those of health need ``Authorization: Bearer TOKEN``.
        **how: Further arguments of `pvzoo.load`, such as ``runtime`` or ``device``.

    Raises:
        PvzooError: A model cannot be loaded, or its name cannot be part of an address.
    """
    limits = limits or Limits()
    server = _Server(Models(models, limits, **how), limits, token=token is not None, drift=drift)
    app = Starlette(
        routes=server.routes(),
        middleware=[
            Middleware(ReadToEnd, limit=3 * limits.max_request),
            Middleware(BodyLimit, limit=limits.max_request),
        ],
        exception_handlers={HTTPException: _no_route},
        lifespan=server.lifespan,
    )
    gate = Gate(app, limits, token=token)
    server.is_stopping = lambda: gate.stopping
    return gate


class _Server:
    def __init__(self, models: Models, limits: Limits, *, token: bool, drift: bool) -> None:
        self._models = models
        self._description = describe(models.offers.values(), limits, token=token)
        self._limits = limits
        self._metrics = Metrics(lambda: self._batches.waiting)
        self._drift = Drift(models.offers.values() if drift else (), self._metrics.shifts)
        self._batches = Batches(limits, self._done)
        self._budget = Budget(max(limits.waiting_bytes, limits.max_request))
        # each of these may take the memory of a large image
        self._reading = asyncio.Semaphore(_READING)
        self._downloading = asyncio.Semaphore(_DOWNLOADING)
        self._drawing = asyncio.Semaphore(limits.at_once)
        self.is_stopping: Callable[[], bool] = lambda: False

    def routes(self) -> list[Route]:
        return [
            Route("/v1/models", self._list),
            Route("/v1/models/{name}", self._card),
            Route("/v1/models/{name}/predict", self._predict, methods=["POST"]),
            Route("/health/live", self._live),
            Route("/health/ready", self._ready),
            Route("/metrics", self._figures),
            Route("/v2", self._server),
            Route("/v2/health/live", self._live),
            Route("/v2/health/ready", self._ready),
            Route("/v2/models/{name}", self._network),
            Route("/v2/models/{name}/ready", self._network),
            Route("/v2/models/{name}/infer", self._infer, methods=["POST"]),
            Route("/openapi.json", self._openapi),
            Route("/", self._page),
        ]

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Start the threads that predict; at the end, finish the queue."""
        self._batches.start()
        yield
        await run_in_threadpool(self._batches.close)

    def _done(self, jobs: Sequence[Job], seconds: float) -> None:
        self._drift.see(jobs)
        self._metrics.batch(jobs, seconds)

    # --- what is known ----------------------------------------------------------------------------

    async def _list(self, request: Request) -> Response:
        return JSONResponse({"models": [self._described(name) for name in self._models.offers]})

    async def _card(self, request: Request) -> Response:
        try:
            return JSONResponse(self._described(request.path_params["name"]))
        except Exception as error:
            return answer_of(error)

    def _described(self, name: str) -> dict[str, Any]:
        offer = self._models.offer(name)
        return {**offer.card, "loaded": self._models.is_loaded(name)}

    async def _live(self, request: Request) -> Response:
        return JSONResponse({"live": True})

    async def _ready(self, request: Request) -> Response:
        """Whether the server takes requests: not while it stops. It loads models before."""
        ready = not self.is_stopping()
        return JSONResponse({"ready": ready}, 200 if ready else 503)

    async def _figures(self, request: Request) -> Response:
        return Response(self._metrics.text(), media_type=CONTENT_TYPE)

    async def _server(self, request: Request) -> Response:
        return JSONResponse({"name": "pvzoo", "version": pvzoo.__version__, "extensions": []})

    async def _network(self, request: Request) -> Response:
        """The raw network; also whether it can be asked, as all models are loaded at the start."""
        name = request.path_params["name"]
        try:
            offer = self._models.offer(name)
            model = await run_in_threadpool(self._models.get, name)
            graph = protocol.graph_of(model, name)
            return JSONResponse(protocol.metadata(name, offer.card["runtime"], graph))
        except Exception as error:
            return answer_of(error)

    async def _openapi(self, request: Request) -> Response:
        return JSONResponse(self._description)

    async def _page(self, request: Request) -> Response:
        return Response(page(self._description), media_type="text/html")

    # --- predictions ------------------------------------------------------------------------------

    async def _predict(self, request: Request) -> Response:
        return await self._answered(request, self._predicted)

    async def _infer(self, request: Request) -> Response:
        return await self._answered(request, self._inferred)

    async def _answered(
        self, request: Request, how: Callable[[Request, str], Awaitable[Response]]
    ) -> Response:
        """The answer of `how`, or that for its error; both are counted."""
        start = time.monotonic()
        name = request.path_params["name"]
        try:
            async with asyncio.timeout(self._limits.seconds):
                answer = await how(request, name)
        except ClientDisconnect:
            answer = Response(status_code=499)  # nobody reads it; the metrics count it
        except TimeoutError:
            hint = "Send a smaller image, or try again later."
            late = f"There was no answer within {self._limits.seconds:g} seconds."
            answer = answer_of(RefusedError(504, late, hint))
        except Exception as error:
            answer = answer_of(error)
        known = name if name in self._models.offers else ""  # clients must not make up labels
        self._metrics.request(known, answer.status_code, time.monotonic() - start)
        return answer

    async def _predicted(self, request: Request, name: str) -> Response:
        offer = self._models.offer(name)
        format = requests.format_of(request.query_params)
        with self._budget.share() as share:
            body = await share.body(request, self._limits.max_request)
            asked, images = await self._read(request, body)
            del body
            size = sum(len(image.handle.data) for image in images)
            share.add(max(0, size - share.size))  # downloads
            if format == "image" and asked.several:
                raise RefusedError(400, "There is one image for one image only.", "Send one.")
            options = requests.options_of(offer.task, asked.options, offer.labels, self._limits)
            model = self._models.loaded(name)
            if model is None:
                model = await run_in_threadpool(self._models.get, name)
            sizes = [image.size for image in images]
            if "tiles" in options:
                most = self._limits.max_tiles
                await run_in_threadpool(check_tiles, model, offer.task, options, sizes, most)
            handle = Seen.of if self._drift.watches(name) else ImageHandle.of
            jobs = [Job(name, model, options, handle(image.handle), image.size) for image in images]
            results = await self._together(request, jobs)
            if format == "image":
                return await _in_thread(self._drawing, partial(_drawn, results[0]))
            text = ", ".join(result.to_json() for result in results)
            text = f'{{"results": [{text}]}}' if asked.several else text
            return Response(text, media_type="application/json")

    async def _inferred(self, request: Request, name: str) -> Response:
        self._models.offer(name)
        with self._budget.share() as share:
            body = await share.body(request, protocol.MOST_BYTES)
            model = await run_in_threadpool(self._models.get, name)
            infer = partial(protocol.infer, body, model, name, self._limits)
            text = await _in_thread(self._drawing, infer)
            return Response(text, media_type="application/json")

    async def _read(
        self, request: Request, body: bytes
    ) -> tuple[requests.Asked, list[ClientImage]]:
        """What a request asks for, and its images."""
        headers, query = dict(request.headers), request.query_params.multi_items()
        reading = partial(requests.read, headers, query, body, self._limits)
        # what is small is read faster than a thread is found for it; forms need a thread
        slow = len(body) > _SMALL or headers.get("content-type", "").lower().startswith("multipart")
        asked = await _in_thread(self._reading, reading) if slow else reading()
        opening = partial(requests.images_of, asked, self._limits)
        if asked.has_addresses:
            return asked, await _in_thread(self._downloading, opening)
        return asked, await _in_thread(self._reading, opening) if slow else opening()

    async def _together(self, request: Request, jobs: Sequence[Job]) -> list[Result]:
        """The results of all jobs; they are cancelled if the client goes or the time is over."""
        self._batches.put(jobs)
        results = asyncio.gather(*(asyncio.wrap_future(job.result) for job in jobs))
        gone = asyncio.create_task(_gone(request))
        try:
            either: list[asyncio.Future[Any]] = [results, gone]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not results.done():
                raise ClientDisconnect
            return await results
        finally:
            gone.cancel()
            results.cancel()
            results.add_done_callback(_look)
            for job in jobs:
                job.result.cancel()


async def _in_thread(places: asyncio.Semaphore, work: Callable[[], _T]) -> _T:
    """What `work` gives in a thread. It keeps its place until it ends, also after the answer."""
    await places.acquire()
    running = asyncio.ensure_future(run_in_threadpool(work))
    running.add_done_callback(lambda _: places.release())
    return await asyncio.shield(running)


def _look(results: asyncio.Future[Any]) -> None:
    """Look at the error of results that nobody waits for; else asyncio writes it to the log."""
    if not results.cancelled():
        results.exception()


async def _gone(request: Request) -> None:
    """Wait until the client has closed its connection."""
    receive: Callable[[], Awaitable[Mapping[str, Any]]] = request.receive
    while (await receive())["type"] != "http.disconnect":
        continue


def _drawn(result: Result) -> Response:
    buffer = io.BytesIO()
    result.plot().save(buffer, "PNG", compress_level=1)
    return Response(buffer.getvalue(), media_type="image/png")


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = _PATHS.get(error.status_code, error.detail)
    return JSONResponse(
        {"error": f"{message} /v1/models lists the models."},
        error.status_code,
        dict(error.headers or {}),
    )
