"""Worker threads that only work; the main thread hands out jobs and takes results."""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import TYPE_CHECKING, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

Job = TypeVar("Job")
Result = TypeVar("Result")


class Pool(Generic[Job, Result]):
    """So many threads, each doing one job at a time. A context manager.

    The threads are daemons: when the main thread dies, nothing keeps the process alive.
    """

    def __init__(self, work: Callable[[Job], Result], *, size: int) -> None:
        """Prepare ``size`` threads that do ``work``."""
        self._work = work
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[Result | BaseException] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name=f"worker-{n}", daemon=True) for n in range(size)
        ]
        self.outstanding = 0  #: jobs handed out whose results were not taken yet

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def submit(self, job: Job) -> None:
        """Hand out one job."""
        self.outstanding += 1
        self._jobs.put(job)

    def take(self, wait_s: float) -> list[Result]:
        """Return the results that are there, or the first one within ``wait_s`` seconds, if any.

        Raises:
            BaseException: what the work raised; that is a bug of ours.
        """
        taken: list[Result] = []
        with contextlib.suppress(queue.Empty):
            while True:
                result = self._results.get(timeout=0 if taken else wait_s)
                self.outstanding -= 1
                if isinstance(result, BaseException):
                    raise result
                taken.append(result)
        return taken

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            result: Result | BaseException
            try:
                result = self._work(job)
            except BaseException as error:  # noqa: BLE001  # it is raised again in `next`
                result = error
            self._results.put(result)


def asked(ask: Callable[[], Result], *, wait_s: float, meanwhile: Callable[[], None]) -> Result:
    """Do one thing in a thread of its own and return its result.

    Args:
        ask: what is done.
        wait_s: how often the caller looks up from waiting, in seconds.
        meanwhile: is called then.

    Raises:
        BaseException: what ``ask`` or ``meanwhile`` raised.
    """
    with Pool[str, Result](lambda _question: ask(), size=1) as pool:
        pool.submit("one question")
        while not (answers := pool.take(wait_s)):
            meanwhile()
    return answers[0]
