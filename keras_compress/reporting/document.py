"""`report`: evaluations and the history of a training as text, JSON and HTML."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keras_compress.edge_profiles.profile import Profile
from keras_compress.errors import InvalidArgumentError
from keras_compress.evaluation import summary
from keras_compress.evaluation.result import EvaluationResult
from keras_compress.reporting.overview import overview_text
from keras_compress.reporting.target_figures import (
    TargetFigures,
    target_figures,
    target_notes,
    target_rows,
)
from keras_compress.support.files import write_atomically
from keras_compress.support.tables import text_table
from keras_compress.support.types import Json, StrPath
from keras_compress.tflite.types import FileSource

if TYPE_CHECKING:  # A board has no Keras.
    import keras

_ENDINGS = (".html", ".json", ".txt")


def report(
    result: EvaluationResult | Sequence[EvaluationResult] | Mapping[str, EvaluationResult],
    *,
    history: "keras.callbacks.History | Mapping[str, Sequence[float]] | None" = None,
    title: str | None = None,
    targets: Sequence[str | os.PathLike | Profile] = (),
    model: FileSource | Sequence[FileSource] | Mapping[str, FileSource] | None = None,
) -> "Report":
    """Make a report of one or several evaluations.

    Args:
        result: An `EvaluationResult`, or several of the same evaluation set as a list or as a
            dict from a name of one's own.
        history: What `fit` returned, or its `history` dict, for the curves of the training.
        title: The page's title.
        targets: Profiles to show the file on: verdict, flash, SRAM and latency, each with where
            the figure comes from. Names, paths of a user's own or `Profile`s.
        model: The evaluated file, for `targets`: bytes, path or
            `ConvertedModel`; with several results a list or dict like `result`.

    Returns:
        A `Report`.

    Raises:
        InvalidArgumentError: Not results, not a history, or targets without their files.
        UnknownNameError: No profile has that name.

    Example:
        >>> report = kc.report(result)  # doctest: +SKIP
        >>> report = kc.report(result, model=file, targets=["cortex_m4"])  # doctest: +SKIP
        >>> report.save("report.html")  # doctest: +SKIP
        >>> report = kc.report({"dense": dense, "75 % sparse": sparse})  # doctest: +SKIP
    """
    curves = getattr(history, "history", history)
    if curves is not None and not isinstance(curves, Mapping):
        raise InvalidArgumentError(
            "history must be what fit returned, or its history dict. "
            f"Received: an object of type {type(history).__name__}"
        )
    results = _named(result)
    return Report(
        results=results,
        targets=_on_targets(results, model, targets),
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
        targets: Name of a result -> list of `TargetFigures`, empty without targets.
    """

    results: dict[str, EvaluationResult]
    history: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    title: str = "Compression report"
    targets: dict[str, list[TargetFigures]] = dataclasses.field(default_factory=dict)

    def save(self, path: StrPath) -> Path:
        """Write the report atomically.

        Args:
            path: A path that ends in `.html`, `.json` or `.txt`. Missing folders are made.

        Returns:
            The path as a `pathlib.Path`.

        Raises:
            InvalidArgumentError: Another file extension.
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

    def to_json(self) -> Json:
        """Return the report as a dictionary that `json.dumps` takes.

        Returns:
            The fields of the `EvaluationResult`; of several, a dict `results` by name. With
            `history` where there is one, and with `targets`, a dict by profile, in each result.
        """
        fields = {name: self._result_json(name) for name in self.results}
        [content] = fields.values() if len(fields) == 1 else [{"results": fields}]
        return {**content, "history": self.history} if self.history else content

    def _result_json(self, name):
        fields, targets = self.results[name].to_json(), self.targets.get(name)
        if targets:
            fields["targets"] = {target.profile: target.to_json() for target in targets}
        return fields

    def to_html(self) -> str:
        """Return a page with tables and plots that needs no other file and no network.

        Raises:
            MissingPackageError: Matplotlib or Jinja2 is not installed.
        """
        from keras_compress.reporting.page import render_page

        return render_page(self)

    def __str__(self):
        if len(self.results) == 1:
            parts = [summary.text(*self.results.values())]
        else:
            parts = [overview_text(self.results)]
        for name, targets in self.targets.items():
            headings, rows = target_rows(targets)
            first = name if len(self.results) > 1 else headings[0]
            table = text_table([(first, *headings[1:]), *rows])
            parts.append("\n".join([table, "", *target_notes(targets)]))
        return "\n\n".join(parts)

    def _repr_html_(self):
        from keras_compress.reporting.page import can_render, render_fragment

        return render_fragment(self) if can_render() else None


def _on_targets(results, model, targets):
    if not targets:
        return {}
    if isinstance(targets, str):
        targets = [targets]
    files = model if isinstance(model, Mapping | list | tuple) else [model]
    files = list(files.values()) if isinstance(files, Mapping) else list(files)
    if len(files) != len(results) or any(file is None for file in files):
        raise InvalidArgumentError(
            "targets needs the evaluated files: pass model=, one file for each result. "
            f"Received: {sum(file is not None for file in files)} files for {len(results)} results"
        )
    return {
        name: [target_figures(file, target, result) for target in targets]
        for (name, result), file in zip(results.items(), files, strict=True)
    }


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
