"""Worker threads that only work; the main thread hands out jobs and takes results."""

from __future__ import annotations

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

    def next(self, wait_s: float) -> Result | None:
        """Return the next result, None if there is none after ``wait_s`` seconds.

        Raises:
            BaseException: what the work raised; that is a bug of ours.
        """
        try:
            result = self._results.get(timeout=wait_s)
        except queue.Empty:
            return None
        self.outstanding -= 1
        if isinstance(result, BaseException):
            raise result
        return result

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            result: Result | BaseException
            try:
                result = self._work(job)
            except BaseException as error:  # noqa: BLE001  # it is raised again in `next`
                result = error
            self._results.put(result)
