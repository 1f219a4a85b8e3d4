"""`report`: evaluations and the history of a training as text, JSON and HTML."""

import dataclasses
import json
import os
from collections.abc import Mapping

from keras_compress.errors import InvalidArgumentError
from keras_compress.evaluation import summary
from keras_compress.evaluation.result import EvaluationResult
from keras_compress.files import write_atomically
from keras_compress.reporting.overview import overview_text

_ENDINGS = (".html", ".json", ".txt")


def report(result, *, history=None, title=None):
    """Make a report of one or several evaluations.

    Args:
        result: An `EvaluationResult`, or several of the same evaluation set as a list or as a
            dict from a name of one's own.
        history: What `fit` returned, or its `history` dict, for the curves of the training.
        title: The page's title.

    Returns:
        A `Report`.

    Raises:
        InvalidArgumentError: Something else than results, or no history.

    Example:
        >>> report = kc.report(result)  # doctest: +SKIP
        >>> report.save("report.html")  # doctest: +SKIP
        >>> report = kc.report({"dense": dense, "75 % sparse": sparse})  # doctest: +SKIP
    """
    curves = getattr(history, "history", history)
    if curves is not None and not isinstance(curves, Mapping):
        raise InvalidArgumentError(
            "history must be what fit returned, or its history dict. "
            f"Received: an object of type {type(history).__name__}"
        )
    return Report(
        results=_named(result),
        history={name: [float(v) for v in values] for name, values in (curves or {}).items()},
        title=title or "Compression report",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """Evaluations, ready to be shown. `str` gives a table; a notebook shows the page.

    Args:
        results: Name -> `EvaluationResult`.
        history: Name -> values by epoch, empty without a training.
        title: The page's title.
    """

    results: dict[str, EvaluationResult]
    history: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    title: str = "Compression report"

    def save(self, path):
        """Write the report; the file appears only when it is whole.

        Args:
            path: A path that ends in `.html`, `.json` or `.txt`. Missing folders are made.

        Returns:
            The path as a `pathlib.Path`.

        Raises:
            InvalidArgumentError: Another ending.
            MissingPackageError: HTML without the packages that draw it.
        """
        ending = os.path.splitext(os.fspath(path))[1].lower()
        if ending not in _ENDINGS:
            raise InvalidArgumentError(
                f"A report is saved as {', '.join(_ENDINGS)}. Received: {os.fspath(path)!r}"
            )
        if ending == ".html":
            return write_atomically(path, self.to_html())
        if ending == ".txt":
            return write_atomically(path, f"{self}\n")
        return write_atomically(path, json.dumps(self.to_json(), indent=2) + "\n")

    def to_json(self):
        """Return the report as a dictionary that `json.dumps` takes.

        Returns:
            The fields of the `EvaluationResult`; of several, a dict `results` by name. With
            `history` where there is one.
        """
        if len(self.results) == 1:
            [content] = (result.to_json() for result in self.results.values())
        else:
            content = {"results": {name: r.to_json() for name, r in self.results.items()}}
        return {**content, "history": self.history} if self.history else content

    def to_html(self):
        """Return a page with tables and plots that needs no other file and no network.

        Raises:
            MissingPackageError: Matplotlib or Jinja2 is not installed.
        """
        from keras_compress.reporting.page import render_page

        return render_page(self)

    def __str__(self):
        if len(self.results) == 1:
            return summary.text(*self.results.values())
        return overview_text(self.results)

    def _repr_html_(self):
        from keras_compress.reporting.page import can_render, render_fragment

        return render_fragment(self) if can_render() else None


def _named(result):
    if isinstance(result, EvaluationResult):
        return {"model": result}
    if isinstance(result, Mapping):
        named = {str(name): value for name, value in result.items()}
    elif isinstance(result, list | tuple):
        named = {f"model {number}": value for number, value in enumerate(result, 1)}
    else:
        named = {}
    if not named or not all(isinstance(value, EvaluationResult) for value in named.values()):
        raise InvalidArgumentError(
            "A report is made of what kc.evaluate returned, or of a list or dict of that. "
            f"Received: {result!r:.100}"
        )
    return named
