"""Coroutines that wait for the gateway and for something else at the same time."""

import asyncio
import os
import signal
import socket
import threading
import time
from typing import Any, Callable, List

from snakepit_bridge import BaseAdapter, CallContext, tool


class Called(BaseAdapter):
    """The pool that is called."""

    @tool
    def nap(self, seconds: float) -> str:
        """Sleep, and say so."""
        time.sleep(seconds)
        return "nap"


async def first_of(ctx: CallContext, other: Any) -> List[str]:
    """Which ends first: a call that takes long, or something that does not come from the gateway."""
    ended: List[str] = []

    async def watch(name: str, what: Any) -> None:
        await what
        ended.append(name)

    async def call() -> None:
        await ctx.call_tool("nap", seconds=3)

    waiting = asyncio.create_task(watch("call", call()))
    await asyncio.sleep(0)
    await watch("other", other)
    first = ended[0]
    waiting.cancel()
    return [first]


def from_thread(function: Callable[[], Any]) -> None:
    """Call that in another thread, when the loop has gone to sleep."""
    threading.Timer(0.1, function).start()


class Waiting(BaseAdapter):
    """The pool that waits."""

    @tool
    async def for_thread(self, ctx: CallContext) -> List[str]:
        """A thread of the default executor."""
        return await first_of(ctx, asyncio.to_thread(time.sleep, 0.1))

    @tool
    async def for_timer(self, ctx: CallContext) -> List[str]:
        """A timer that is set when the loop waits already, by a thread that wakes it up for that."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()
        from_thread(lambda: loop.call_soon_threadsafe(loop.call_later, 0.1, event.set))
        return await first_of(ctx, event.wait())

    @tool
    async def for_socket(self, ctx: CallContext) -> List[str]:
        """A socket that becomes readable."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        from_thread(lambda: theirs.send(b"x"))
        first = await first_of(ctx, asyncio.get_running_loop().sock_recv(ours, 1))
        ours.close()
        theirs.close()
        return first

    @tool
    async def for_signal(self, ctx: CallContext) -> List[str]:
        """A signal with a handler of the loop's."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, event.set)
        from_thread(lambda: os.kill(os.getpid(), signal.SIGUSR1))
        try:
            return await first_of(ctx, event.wait())
        finally:
            loop.remove_signal_handler(signal.SIGUSR1)

    @tool
    async def for_process(self, ctx: CallContext) -> List[str]:
        """A process that ends."""
        child = await asyncio.create_subprocess_exec("sleep", "0.1")
        return await first_of(ctx, child.wait())

    @tool
    async def for_rings(self, ctx: CallContext, n: int) -> List[int]:
        """Calls back and forth, while a thread has the loop do other things all the time: how many, how many done."""
        loop, rung, done, going = asyncio.get_running_loop(), [0], [0], [True]

        def count() -> None:
            done[0] += 1

        def ring() -> None:
            while going[0]:
                rung[0] += 1
                loop.call_soon_threadsafe(count)
                time.sleep(0.0001)

        thread = threading.Thread(target=ring)
        thread.start()
        for _ in range(n):
            await ctx.call_tool("nap", seconds=0)
        going[0] = False
        thread.join()
        await asyncio.sleep(0)
        return rung + done

    @tool
    async def for_nobody(self) -> str:
        """What a thread hands over, with nothing asked of the gateway."""
        loop = asyncio.get_running_loop()
        handed = loop.create_future()
        from_thread(lambda: loop.call_soon_threadsafe(handed.set_result, "handed over"))
        return await handed

    @tool
    async def for_ever(self) -> None:
        """Nothing at all."""
        await asyncio.get_running_loop().create_future()

    @tool
    def in_child(self) -> List[int]:
        """How children end that were forked from a worker, and use the worker's loop or one of their own."""
        statuses = []
        for run in (asyncio.run, asyncio.get_event_loop().run_until_complete):
            child = os.fork()
            if child == 0:
                try:
                    run(asyncio.wait_for(self.for_nobody(), 10))
                    os._exit(0)
                finally:
                    os._exit(1)
            statuses.append(os.waitpid(child, 0)[1])
        return statuses

    @tool
    def for_alarm(self, ctx: CallContext) -> str:
        """A call whose wait is ended by what a handler of the tool's own raises."""

        def strike(number: int, frame: Any) -> None:
            raise TimeoutError("the tool's own alarm")

        signal.signal(signal.SIGALRM, strike)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        try:
            return str(ctx.call_tool("nap", seconds=3))
        except TimeoutError as error:
            return str(error)
        finally:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)

    @tool
    async def plain(self, ctx: CallContext) -> str:
        """A call and its result."""
        return str(await ctx.call_tool("nap", seconds=0))
