"""Runs work at the same time, in real threads with separate database connections."""

import threading
from collections.abc import Callable
from typing import Any

from django.db import connection


def at_once(*works: Callable[[], Any], keep_errors: bool = False) -> list[Any]:
    """Runs each function in a thread, all at once. Returns their results.

    Raises an error of a function. With `keep_errors` the error is among the results instead.
    """
    results: list[Any] = [None] * len(works)
    barrier = threading.Barrier(len(works))

    def run(index: int, work: Callable[[], Any]) -> None:
        try:
            barrier.wait()
            results[index] = work()
        except Exception as error:
            results[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, Exception) and not keep_errors:
            raise result
    return results
