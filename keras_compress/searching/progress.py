"""The bar of a search, with the best so far."""

import sys
import time

from tqdm import tqdm


class SearchBar:
    """A context manager around a bar of seconds, or of trials where time has no limit.

    Args:
        budget: Seconds, or `None`.
        trials: Trials, or `None`.
        show: Whether to show it; `None` shows it where stderr is a terminal.
    """

    def __init__(self, budget, trials, show=None):
        self._budget, self._trials = budget, trials
        self._show = sys.stderr.isatty() if show is None else show
        self._bar = None

    def update(self, seconds, trials, best):
        """Move the bar.

        Args:
            seconds: Seconds spent.
            trials: Trials finished.
            best: The best so far in words.
        """
        if self._bar is None:
            return
        done = trials if self._budget is None else min(seconds, self._budget)
        self._bar.set_postfix_str(f"{trials} trials, best: {best}", refresh=False)
        self._bar.update(round(done) - self._bar.n)
        self._bar.refresh()

    def __enter__(self):
        self._begin = time.perf_counter()
        if self._show:
            total = self._trials if self._budget is None else round(self._budget)
            unit = "trial" if self._budget is None else "s"
            self._bar = tqdm(total=total, desc="Searching", unit=unit, file=sys.stderr)
        return self

    def __exit__(self, *_):
        if self._bar is not None:
            self._bar.close()
