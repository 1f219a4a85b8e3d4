"""A progress bar for long work, shown on terminals."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

# Seconds before the bar appears: short work needs none.
_PATIENCE = 2.0


@contextlib.contextmanager
def progress_bar(
    total: int, progress: bool | Callable[[int], Any] | None = None, unit: str = "sample"
) -> Iterator[Callable[[int], Any]]:
    """Show a bar on standard error for work that is often short.

    Args:
        total: Number of units.
        progress: `True` for a bar at once, `False` for none, `None` for one if standard error is a
            terminal and the work takes more than two seconds; or a function that is called with
            the number of units done, instead of a bar.
        unit: Name of one unit.

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
        title: Text before the bar.
        show: Whether to show it; `None` shows it if standard error is a terminal.
        total: Number of units; `None` if `update` sets it.
        unit: Name of one unit.
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
            done: Units done so far.
            total: Number of units, if the constructor did not set it; 0 while it is not known.
            note: Text after the bar.
        """
        self._open(total)
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
            self._bar.set_postfix_str(note, refresh=bool(note))

    def _open(self, total):
        if self._bar is None and self._show and total:
            # Not installed on boards.
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
