"""The rival: FastAPI doing the gateway's job in its own process, as its users would write it.

POST /execute checks the same envelope with pydantic, looks the tool up, runs it and returns result
and meta. Returning a JSONResponse is the fastest way FastAPI has: measured here, a plain dict is
15 % slower and a response_model 40 %.
POST /tools/mirror takes bytes and returns them, /tools/total their sum by numpy, /tools/array 16 MiB.
GET /stream/… gives the streams of stream_tools.py as events, as short as they can be.
"""

import asyncio
import functools
import random
import time
import uuid
from typing import Any, AsyncIterator, Callable, Dict, Iterator, Optional

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, Extra, Field

app = FastAPI()


class Envelope(BaseModel):
    tool: str = Field(min_length=1, max_length=64)
    args: Dict[str, Any] = {}
    pool: Optional[str]
    session_id: Optional[str]
    correlation_id: Optional[str]
    timeout_ms: Optional[int] = Field(ge=1)
    queue_timeout_ms: Optional[int] = Field(ge=1)

    class Config:
        extra = Extra.forbid


def echo(**anything: Any) -> Dict[str, Any]:
    return anything


TOOLS: Dict[str, Callable[..., Any]] = {"echo": echo}


@app.post("/execute")
async def execute(envelope: Envelope) -> Response:
    tool = TOOLS.get(envelope.tool)
    if tool is None:
        raise HTTPException(404, "tool_not_found")
    start = time.perf_counter()
    result = tool(**envelope.args)
    run_ms = (time.perf_counter() - start) * 1000
    meta = {
        "request_id": uuid.uuid4().hex,
        "worker": "default-1",
        "pool": "default",
        "attempts": 1,
        "queue_ms": 0.0,
        "run_ms": run_ms,
    }
    return JSONResponse({"result": result, "meta": meta})


@app.post("/tools/mirror")
async def mirror(request: Request) -> Response:
    return Response(await request.body(), media_type="application/octet-stream")


SMALL = b'data: "a small chunk~"\n\n'
EVENTS = "text/event-stream"


def now() -> bytes:
    return b"data: %d\n\n" % time.monotonic_ns()


@app.get("/stream/small")
async def small(count: int) -> Response:
    def chunks() -> Iterator[bytes]:
        for _ in range(count):
            yield SMALL

    return StreamingResponse(chunks(), media_type=EVENTS)


@app.get("/stream/small_async")
async def small_async(count: int) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield SMALL

    return StreamingResponse(chunks(), media_type=EVENTS)


@app.get("/stream/first")
async def first() -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        yield now()

    return StreamingResponse(chunks(), media_type=EVENTS)


@app.get("/stream/ticks")
async def ticks(count: int) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        await asyncio.sleep(random.random())
        for _ in range(count):
            yield now()
            await asyncio.sleep(1)

    return StreamingResponse(chunks(), media_type=EVENTS)


@functools.lru_cache()
def numbers() -> Any:
    """16 MiB; numpy is loaded only when it is wanted."""
    import numpy

    return numpy.arange(2 << 20, dtype=numpy.float64)


@app.post("/tools/total")
async def total(request: Request) -> Response:
    import numpy

    return JSONResponse(int(numpy.frombuffer(await request.body(), numpy.uint8).sum()))


@app.post("/tools/array")
async def array() -> Response:
    return Response((numbers() * 2).tobytes(), media_type="application/octet-stream")
