"""How many examples the generated tests try: few in an ordinary run, which are others in each, and more when asked.

`EXAMPLES=10 make test` tries ten times as many.
"""

import os


def examples(ordinary: int) -> int:
    return max(1, round(ordinary * float(os.environ.get("EXAMPLES", "1"))))
