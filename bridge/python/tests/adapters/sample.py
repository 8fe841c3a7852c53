"""An adapter with a tool for everything that the tests want to see."""

from __future__ import annotations

import asyncio
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from snakepit_bridge import BaseAdapter, Binary, Cancelled, ToolError, tool


def leave_mark(path):
    if path:
        with open(path, "a") as file:
            file.write("left\n")


class Nameless(type):
    """What its classes say of themselves fails."""

    @property
    def __name__(cls):
        raise OSError("no name")

    __mro__ = __name__

    def __getattr__(cls, name):
        raise OSError("no " + name)


class Mute(Exception):
    def __str__(self):
        raise OSError("no text")

    __repr__ = __str__


class Elusive(Mute, metaclass=Nameless):
    @property
    def __class__(self):
        raise OSError("no class")


class Evasive(ToolError):
    def __init__(self):
        super().__init__("no")

    @property
    def code(self):
        raise SystemExit("no code")

    @code.setter
    def code(self, value):
        pass


class WrongKey(KeyError):
    pass


UNFRIENDLY = {"Mute": Mute, "Elusive": Elusive, "Evasive": Evasive, "WrongKey": WrongKey}


class Sample(BaseAdapter):
    def __init__(self):
        self.made_in = os.getpid()
        self.initialized = 0

    def initialize(self):
        self.initialized += 1

    def cleanup(self):
        path = os.environ.get("CLEANUP_FILE")
        if path:
            with open(path, "a") as file:
                file.write("cleaned up\n")
        if os.environ.get("CLEANUP_HANGS"):
            time.sleep(60)

    @tool
    def me(self):
        return {"pid": os.getpid(), "made_in": self.made_in, "initialized": self.initialized}

    @tool
    def process(self):
        import signal

        return {
            "group": os.getpgid(0),
            "stdin": os.readlink("/proc/self/fd/0"),
            "interrupt_ignored": signal.getsignal(signal.SIGINT) == signal.SIG_IGN,
            "terminate_default": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
            "user_default": signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL,
            "sockets_of_children": subprocess.run(
                [sys.executable, "-c", "import os; print(sum(1 for d in os.listdir('/proc/self/fd') if int(d) > 2))"],
                capture_output=True,
                text=True,
                close_fds=False,
            ).stdout.strip(),
        }

    @tool
    def restrictions(self):
        import resource

        names = ("CORE", "NOFILE", "CPU", "AS")
        with open("/proc/self/status") as file:
            status = dict(line.split(":", 1) for line in file)
        return {
            "limits": {name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[0] for name in names},
            "no_new_privs": status["NoNewPrivs"].strip(),
        }

    @tool
    def descriptors(self):
        found = {}
        for number in os.listdir("/proc/self/fd"):
            try:
                found[number] = os.readlink(f"/proc/self/fd/{number}")
            except OSError:  # the listing's own
                pass
        return found

    @tool
    def seen(self):
        c = self.context
        return {
            "request_id": c.request_id,
            "session_id": self.session_id,
            "correlation_id": c.correlation_id,
            "time_left": c.time_left(),
            "cancelled": c.cancelled,
            "traceparent": c.traceparent,
            "tracestate": c.tracestate,
        }

    @tool
    def context_as_argument(self, x, ctx):
        return [x, ctx.session_id]

    @tool
    def until_cancelled(self):
        try:
            time.sleep(30)
        except Cancelled:
            return self.context.cancelled
        finally:
            self.cleaned_up = True

    @tool
    def swallows_exceptions(self):
        while True:
            try:
                time.sleep(30)
            except Exception:
                pass

    @tool
    async def later_until_cancelled(self):
        await asyncio.sleep(30)

    @tool
    def sometimes_slow(self, seconds=0.0):
        time.sleep(seconds)
        return seconds

    @tool
    def busy(self, seconds=0.0):
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            pass
        return seconds

    @tool(batch=8)
    def gathered(self, calls):
        """Says of each call how many there were."""
        return [[call["n"], len(calls)] for call in calls]

    @tool(batch=8)
    async def gathered_later(self, calls):
        await asyncio.sleep(0)
        return self.gathered(calls)

    @tool(batch=8)
    def gathered_by_another(self, calls, ctx):
        try:
            return [ctx.call_tool("it")] * len(calls)
        except ToolError as error:
            return [f"{error.code}, {ctx.call_id}"] * len(calls)

    @tool(batch=8)
    async def gathered_later_by_another(self, calls, ctx):
        try:
            return [await ctx.call_tool("it")] * len(calls)
        except ToolError as error:
            return [f"{error.code}, {ctx.call_id}"] * len(calls)

    @tool(batch=8)
    def gathered_slowly(self, calls):
        while True:
            time.sleep(0.001)

    @tool(batch=8)
    async def gathered_later_slowly(self, calls):
        await asyncio.sleep(60)

    @tool
    def takes_all_descriptors(self):
        """Until it is refused one. Returns how many."""
        import resource

        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
        self.taken = []
        try:
            while True:
                self.taken.append(os.dup(2))
        except OSError:
            return len(self.taken)

    @tool
    def exits(self):
        sys.exit(3)

    @tool
    def interrupts(self):
        raise KeyboardInterrupt("from within")

    @tool
    def teapot(self):
        raise ToolError("short and stout", status=418, code="teapot", details={"handle": 1})

    @tool
    def surrogate(self):
        return {"bad": "\ud800", "good": 1}

    @tool
    def unsendable(self):
        return Binary(b"", "no\ncontent type")

    @tool
    def raises_itself(self, kind: str):
        raise UNFRIENDLY[kind]()

    @tool
    def infinite(self):
        return [1, math.inf]

    @tool
    def picture(self, data=None, content_type=""):
        return Binary(b"<svg/>" if data is None else data, content_type or "image/svg+xml")

    @tool
    def raw(self):
        return bytearray(b"\x00\x01")

    @tool
    def dies_hard(self):
        """No other thread runs meanwhile, but what was sent before can arrive."""
        sum(range(5_000_000))
        os.kill(os.getpid(), signal.SIGKILL)

    @tool
    def large(self, size):
        return bytes(size)

    @tool
    def takes_bytes(self, body: bytes):
        return [type(body).__name__, len(body)]

    @tool
    async def later(self, x=1):
        await asyncio.sleep(0.001)
        return x

    @tool
    async def sleeps(self, seconds=0.0):
        await asyncio.sleep(seconds)
        return self.context.request_id

    @tool
    async def swallows_cancellation(self, mark):
        """Make a file named ``mark`` once it can be cancelled."""
        try:
            Path(mark).touch()
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            return self.context.cancelled

    @tool
    async def fails_later(self):
        await asyncio.sleep(0)
        raise LookupError("later")

    @tool
    def counts(self, n=1, seconds=0.0, text="", mark=""):
        """Leave a file named ``mark`` when it ends, however that is."""
        try:
            for i in range(n):
                yield f"{text}{i}" if text else i
                if seconds:
                    time.sleep(seconds)
            return {"counted": n}
        finally:
            leave_mark(mark)

    @tool
    async def counts_in_loop(self, n=1, seconds=0.0, text="", mark=""):
        try:
            for i in range(n):
                yield f"{text}{i}" if text else i
                if seconds:
                    await asyncio.sleep(seconds)
        finally:
            leave_mark(mark)

    @tool
    def sends(self, params, stream):
        try:
            for i in range(params.get("n", 1)):
                stream.send(i)
            return {"sent": params.get("n", 1)}
        finally:
            leave_mark(params.get("mark"))

    @tool
    async def sends_in_loop(self, params, stream):
        try:
            for i in range(params.get("n", 1)):
                await stream.send(i)
            return {"sent": params.get("n", 1)}
        finally:
            leave_mark(params.get("mark"))

    @tool
    async def sends_without_waiting(self, n, stream):
        for i in range(n):
            stream.send(i)
            self.context.progress(done=i)

    @tool
    def sends_from_a_thread(self, n, stream):
        import threading

        thread = threading.Thread(target=lambda: [stream.send(i) for i in range(n)])
        thread.start()
        thread.join()

    @tool(supports_streaming=True)
    def hands_over(self, n=1):
        return iter(range(n))

    @tool(supports_streaming=True)
    def streams_nothing(self):
        return "whole"

    @tool
    def breaks_off(self, n):
        yield from range(n)
        raise LookupError("broken off")

    @tool
    async def breaks_off_in_loop(self, n):
        for i in range(n):
            yield i
        raise LookupError("broken off")

    @tool
    def yields_a_surrogate(self):
        yield 1
        yield "\ud800"
        yield 2

    @tool
    def yields_odd_values(self):
        yield b"\x00\x01"
        yield math.nan
        yield "two\nlines"
        yield None

    @tool
    def reports(self, ctx):
        ctx.progress(1, 2, "half")
        yield "a"
        ctx.log("so far %s", "good")
        ctx.log.warning("hot")
        yield "b"
        ctx.progress(done=2)

    @tool
    def returns_though_cancelled(self):
        try:
            while True:
                yield 0
        except Cancelled:
            return "saved"

    @tool
    def yields_though_cancelled(self, mark):
        while True:
            try:
                yield 0
            except Cancelled:
                yield 1
            finally:
                leave_mark(mark)
                time.sleep(0.01)

    @tool
    def computes(self, n, seconds):
        for i in range(n):
            yield i
            give_up = time.monotonic() + seconds
            while time.monotonic() < give_up:
                pass

    @tool
    def floods(self, text="x" * 1000):
        while True:
            yield text

    @tool
    async def floods_in_loop(self, text="x" * 1000):
        while True:
            yield text

    @tool
    def threads(self):
        import threading

        return threading.current_thread() is threading.main_thread()

    @tool
    def dice(self):
        return random.random()

    @tool
    def grows(self, **rest):
        return rest

    @tool
    def forks(self):
        pid = os.fork()
        if pid == 0:
            os._exit(7)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class Unable(BaseAdapter):
    def initialize(self):
        raise RuntimeError("no model to load")

    @tool
    def never(self):
        return 1
