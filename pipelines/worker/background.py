"""What goes on beside the event loop's own work: threads for calls that block, tasks that nobody awaits."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from queue import SimpleQueue
from threading import Thread
from typing import Any

THREADS = 16


class OwnThreads(Executor):
    """A thread for each call, which nobody waits for at the end: a call may never come back.

    A thread whose call has come back takes another one: to start one costs the event loop half a millisecond.
    """

    def __init__(self) -> None:
        self._idle: list[SimpleQueue[Callable[[], None]]] = []

    def submit(self, call: Callable[..., Any], /, *arguments: Any, **more: Any) -> "Future[Any]":
        """Run it."""
        future: Future[Any] = Future()

        def run() -> None:
            try:
                future.set_result(call(*arguments, **more))
            except BaseException as error:  # noqa: BLE001 - whoever awaits it decides
                future.set_exception(error)

        try:
            inbox = self._idle.pop()
        except IndexError:
            inbox = SimpleQueue()
            Thread(target=self._serve, args=(inbox,), name="engine-own", daemon=True).start()
        inbox.put(run)
        return future

    def _serve(self, inbox: "SimpleQueue[Callable[[], None]]") -> None:
        while True:
            inbox.get()()
            self._idle.append(inbox)


class Background:
    """Threads and tasks of an engine. ``fail`` hears of an error in a task, which would otherwise be lost."""

    def __init__(self, fail: Callable[[BaseException], None]) -> None:
        self.threads = ThreadPoolExecutor(THREADS, thread_name_prefix="engine")
        self.own_threads = OwnThreads()
        self._fail = fail
        self._tasks: set[asyncio.Task[None]] = set()

    def in_thread(self, call: Callable[..., Any], *arguments: Any) -> "asyncio.Future[Any]":
        """Call it in a thread."""
        return asyncio.get_running_loop().run_in_executor(self.threads, call, *arguments)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin a task."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    async def close(self, *, also: "set[asyncio.Future[Any]]", within_s: float) -> None:
        """Wait for the tasks and for ``also``, cancel tasks that take longer, then wait for the threads."""
        running: set[asyncio.Future[Any]] = {*also, *self._tasks}
        if running:
            await asyncio.wait(running, timeout=within_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.sleep(0)  # callbacks of what has ended may need a thread
        await asyncio.get_running_loop().run_in_executor(None, self.threads.shutdown)

    def _finished(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)
