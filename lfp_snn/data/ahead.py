"""Work done ahead of time by threads, and handed out in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Taken = TypeVar("Taken")
Made = TypeVar("Made")

_AHEAD = 2  # results that each worker may be ahead


def ahead(make: Callable[[Taken], Made], each: Iterable[Taken], workers: int) -> Iterator[Made]:
    """Yield what `make` makes of each item, in order, made ahead of time by threads.

    Threads serve here: the kernels that read and bin release Python's lock, and nothing is copied
    between processes or left behind by them.

    Args:
        make: the function, which several threads call at a time.
        each: the items that it is called with.
        workers: the number of threads; with 0, each result is made when it is asked for.
    """
    if workers == 0:
        yield from map(make, each)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="loader")
    waiting: deque[Future[Made]] = deque()
    try:
        for one in each:
            waiting.append(pool.submit(make, one))
            if len(waiting) > _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
