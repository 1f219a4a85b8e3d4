"""A progress bar for long work, shown where somebody watches."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

# Seconds of silence: short work needs no bar.
_PATIENCE = 2.0


@contextlib.contextmanager
def progress_bar(
    total: int, progress: bool | Callable[[int], Any] | None = None, unit: str = "sample"
) -> Iterator[Callable[[int], Any]]:
    """Show a bar on standard error for work that is often short.

    Args:
        total: How many units there are.
        progress: `True` for a bar at once, `False` for none, `None` for one where standard
            error is a terminal and the work takes more than two seconds; or a function that
            is called with the number of units done, in place of a bar.
        unit: What is counted.

    Yields:
        A function to call with the number of units done since the last call.

    Example:
        >>> with progress_bar(10, progress=False) as advance:
        ...     advance(10)
    """
    if callable(progress):
        yield progress
        return
    style: dict[str, Any] = {"delay": 0.0 if progress else _PATIENCE, "unit_scale": True}
    with ProgressBar(show=progress, total=total, unit=unit, **style) as bar:
        yield bar.advance


class ProgressBar:
    """A context manager around a bar on standard error.

    Args:
        title: What is going on.
        show: Whether to show it; `None` shows it where standard error is a terminal.
        total: How many units there are; `None` if `update` tells.
        unit: What is counted.
        **style: Arguments of `tqdm.tqdm`.

    Example:
        >>> with ProgressBar("Calibrating", show=False) as bar:
        ...     bar.update(100, total=500)
    """

    def __init__(
        self,
        title: str | None = None,
        show: bool | None = None,
        *,
        total: int | None = None,
        unit: str = "sample",
        **style: Any,
    ):
        self._total = total
        self._show = _on_terminal() if show is None else show
        self._style = {"desc": title, "unit": unit, **style}
        self._bar: Any = None

    def advance(self, count: int) -> None:
        """Move the bar.

        Args:
            count: Units done since the last call.
        """
        if self._bar is not None:
            self._bar.update(count)

    def update(self, done: int, total: int = 0, note: str = "") -> None:
        """Move the bar to a position.

        Args:
            done: Units done in all.
            total: Units in all, where the bar was not told; 0 while that is not known.
            note: Text behind the bar.
        """
        self._open(total)
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
            self._bar.set_postfix_str(note, refresh=bool(note))

    def _open(self, total):
        if self._bar is None and self._show and total:
            # Boards do without it.
            from tqdm import tqdm

            self._bar = tqdm(total=total, file=sys.stderr, **self._style)

    def __enter__(self):
        self._open(self._total)
        return self

    def __exit__(self, *_):
        if self._bar is not None:
            self._bar.close()


def _on_terminal():
    return sys.stderr is not None and sys.stderr.isatty()
