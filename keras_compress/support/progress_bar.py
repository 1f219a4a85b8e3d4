"""A progress bar that shows only where somebody watches."""

import sys

from tqdm import tqdm


class ProgressBar:
    """A context manager around a bar whose length becomes known on the way.

    Args:
        title: What is going on.
        show: Whether to show it; `None` shows it where stderr is a terminal.
    """

    def __init__(self, title, show=None):
        self._title = title
        self._show = sys.stderr.isatty() if show is None else show
        self._bar = None

    def update(self, done, total):
        """Move the bar.

        Args:
            done: Units done.
            total: Units in all; 0 while that is not known.
        """
        if not self._show or not total:
            return
        if self._bar is None:
            self._bar = tqdm(total=total, desc=self._title, unit="sample", leave=False)
        self._bar.update(done - self._bar.n)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._bar is not None:
            self._bar.close()
