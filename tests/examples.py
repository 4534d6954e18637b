"""The number of examples of generated tests: few by default, different in each run, and more on request.

`EXAMPLES=10 make test` tries ten times as many.
"""

import os


def examples(ordinary: int) -> int:
    return max(1, round(ordinary * float(os.environ.get("EXAMPLES", "1"))))
