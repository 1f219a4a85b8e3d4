"""The time of a search."""

import math
import time


class SearchClock:
    """Seconds that a search has spent and has left.

    Args:
        budget: Seconds that it may take, or `None` for no limit.
        spent_before: Seconds that earlier runs of it took.
    """

    def __init__(self, budget: float | None, spent_before: float = 0.0):
        self._budget, self._spent_before = budget, spent_before
        self._begin = time.perf_counter()

    def spent(self) -> float:
        """Return the seconds spent, earlier runs included."""
        return self._spent_before + time.perf_counter() - self._begin

    def left(self) -> float:
        """Return the seconds left, infinity without a limit."""
        return math.inf if self._budget is None else self._budget - self.spent()
