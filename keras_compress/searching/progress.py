"""The bar of a search, with the best so far."""

from keras_compress.support.progress import ProgressBar


class SearchBar:
    """A context manager around a bar of seconds, or of trials where time has no limit.

    Args:
        budget: Seconds, or `None`.
        trials: Trials, or `None`.
        show: Whether to show it; `None` shows it where stderr is a terminal.
    """

    def __init__(self, budget, trials, show=None):
        self._budget, self._best = budget, "none yet"
        total, unit = (trials, "trial") if budget is None else (round(budget), "s")
        self._bar = ProgressBar("Searching", show, total=total, unit=unit)

    def show_best(self, objectives):
        """Show the figures of the best trial from the next update on.

        Args:
            objectives: Its `Objectives`.
        """
        self._best = (
            f"{100 * objectives.accuracy:.2f} %, {objectives.flash_bytes:,} bytes, "
            f"{objectives.macs:,} MACs"
        )

    def update(self, seconds, trials):
        """Move the bar.

        Args:
            seconds: Seconds spent.
            trials: Trials finished.
        """
        done = trials if self._budget is None else round(min(seconds, self._budget))
        self._bar.update(done, note=f"{trials} trials, best: {self._best}")

    def __enter__(self):
        self._bar.__enter__()
        return self

    def __exit__(self, *exception):
        self._bar.__exit__(*exception)
