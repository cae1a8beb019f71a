"""A thread that computes one answer after another, so that what needs no computing is answered meanwhile."""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from fastapi import HTTPException

AnswerT = TypeVar("AnswerT")


class Worker:
    """Answers in the order of arrival; what would wait too long, or behind too many, is told to come again.

    One at a time, since a model uses all the threads that torch has. What is being computed cannot be ended: the client
    is told, and the thread goes on to the next one when it is done. The thread ends with the process.
    """

    def __init__(self, *, waiting: int, seconds: float) -> None:
        """Start; `waiting` requests may wait, each for `seconds` until it is answered."""
        self._seconds = seconds
        self._waiting = waiting
        self._jobs: queue.Queue[Callable[[], None]] = queue.Queue(maxsize=waiting)
        threading.Thread(target=self._work, name="predict", daemon=True).start()

    async def answer(self, job: Callable[[], AnswerT]) -> AnswerT:
        """What `job` returns or raises.

        Raises:
            HTTPException: 503, too many are waiting, or the time is over.
        """
        future: Future[AnswerT] = Future()

        def compute() -> None:
            if not future.set_running_or_notify_cancel():  # nobody waits for it any more
                return
            try:
                future.set_result(job())
            except BaseException as error:
                future.set_exception(error)

        try:
            self._jobs.put_nowait(compute)
        except queue.Full:
            raise HTTPException(503, f"{self._waiting} requests are waiting already; try again later") from None
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._seconds)
        except TimeoutError:
            raise HTTPException(
                503, f"there was no answer within {self._seconds:g} s; ask for less at a time"
            ) from None

    def _work(self) -> None:
        while True:
            self._jobs.get()()
