"""A progress bar for long work on a terminal."""

import contextlib
import sys

# Seconds of silence: short work needs no bar.
_PATIENCE = 2.0


@contextlib.contextmanager
def progress_bar(total, progress=None, unit="sample"):
    """Show a bar on standard error.

    Args:
        total: How many units there are.
        progress: `True` for a bar at once, `False` for none, `None` for one where standard
            error is a terminal and the work takes more than two seconds; or a function that
            is called with the number of units done, in place of a bar.
        unit: What is counted.

    Yields:
        A function to call with the number of units done since the last call.
    """
    if callable(progress):
        yield progress
        return
    if progress is False or (progress is None and not _on_terminal()):
        yield lambda count: None
        return
    from tqdm import tqdm

    delay = 0.0 if progress else _PATIENCE
    with tqdm(total=total, unit=unit, delay=delay, file=sys.stderr, unit_scale=True) as bar:
        yield bar.update


def _on_terminal():
    return sys.stderr is not None and sys.stderr.isatty()
