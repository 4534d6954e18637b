"""Work at the same time: real threads, each with its own database connection."""

import threading
from collections.abc import Callable
from typing import Any

from django.db import connection


def at_once(*works: Callable[[], Any], keep_errors: bool = False) -> list[Any]:
    """Runs each in a thread, all at once. Returns what they return.

    What one of them raises is raised here, or with `keep_errors` stands among the results.
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
