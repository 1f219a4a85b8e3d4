"""The result of a search: the best model, its file, all trials and the trade-off between them."""

import dataclasses
import functools
import html
import json
import os
from pathlib import Path
from typing import cast

from keras_compress.searching.constraints import Constraints
from keras_compress.searching.objectives import Objectives
from keras_compress.searching.trial import Trial
from keras_compress.searching.trial_order import dominates
from keras_compress.support.files import write_atomically
from keras_compress.support.tables import text_table

_HEADINGS = ("trial", "state", "epochs", "accuracy", "flash", "SRAM", "latency", "MACs", "recipe")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchResult:
    """The end of a search.

    Args:
        best: The `Trial` that won: the smallest and fastest that keeps to all constraints, or
            the nearest one where none does.
        trials: All trials, plain quantization first.
        constraints: The `Constraints`, with every limit as a number.
        baseline_accuracy: Accuracy of the float model.
        profile: Name of the target.
        unmet: Which constraint binds and by how much; empty where all are met.
        seconds: Time of the whole search, earlier runs included.
        storage: URL of Optuna's storage, which its dashboard reads too.
    """

    best: Trial
    trials: tuple[Trial, ...]
    constraints: Constraints
    baseline_accuracy: float
    profile: str
    unmet: str
    seconds: float
    storage: str = ""

    @property
    def meets_constraints(self):
        """Whether the best model keeps to all constraints."""
        return not self.unmet

    @property
    def recipe(self):
        """The winning `Recipe`."""
        return self.best.recipe

    @property
    def file(self):
        """Bytes of the winning `.tflite`."""
        return self._path("model.tflite").read_bytes()

    @property
    def dense_file(self):
        """The winning file with its weights not compressed for TFLite Micro."""
        path = self._path("model_dense.tflite")
        return path.read_bytes() if path.exists() else self.file

    @functools.cached_property
    def model(self):
        """The winning model, a compressed `keras.Model`."""
        from keras_compress.converters.keras2 import load_model

        return load_model(self._path("model.keras"), compile=False)

    @property
    def pareto(self):
        """Complete trials that no other one beats in accuracy, bytes and time at once."""
        complete = [trial for trial in self.trials if trial.is_complete]
        figures = [trial.objectives for trial in complete]
        return tuple(
            trial
            for trial in complete
            if not any(dominates(other, trial.objectives) for other in figures)
        )

    def save(self, folder):
        """Write the winning file, its recipe, the Keras model, the JSON and the HTML page.

        Args:
            folder: Where to; made if it is not there.

        Returns:
            List of paths.
        """
        folder = Path(folder)
        contents = {
            "model.tflite": self.file,
            "model.keras": self._path("model.keras").read_bytes(),
            "recipe.toml": self.recipe.to_toml(),
            "search.json": json.dumps(self.to_json(), indent=2) + "\n",
        }
        paths = [write_atomically(folder / name, value) for name, value in contents.items()]
        from keras_compress.searching.page import can_draw, page

        if can_draw():
            paths.append(write_atomically(folder / "search.html", page(self)))
        return paths

    def to_json(self):
        """Return the fields as a dictionary that `json.dumps` takes."""
        return {
            "best": self.best.to_json(),
            "trials": [trial.to_json() for trial in self.trials],
            "pareto": [trial.number for trial in self.pareto],
            "constraints": dataclasses.asdict(self.constraints),
            "meets_constraints": self.meets_constraints,
            "unmet": self.unmet,
            "baseline_accuracy": self.baseline_accuracy,
            "profile": self.profile,
            "seconds": self.seconds,
            "storage": self.storage,
            "recipe": self.recipe.to_toml(),
        }

    def rows(self):
        """Return the table of trials: a tuple of headings and a list of tuples of text."""
        return _HEADINGS, [_row(trial, trial is self.best) for trial in self.trials]

    def __str__(self):
        objectives = cast(Objectives, self.best.objectives)  # the best one is measured
        headings, rows = self.rows()
        lines = [
            text_table([headings, *rows]),
            "",
            f"float accuracy {100 * self.baseline_accuracy:.2f} %, best trial "
            f"{self.best.number}: {100 * objectives.accuracy:.2f} %, "
            f"{objectives.flash_bytes:,} bytes, {objectives.macs:,} MACs",
        ]
        lines += [self.unmet] if self.unmet else ["All constraints are met."]
        return "\n".join([*lines, "", self.recipe.to_toml()])

    def _repr_html_(self):
        from keras_compress.searching.page import can_draw, fragment

        return fragment(self) if can_draw() else f"<pre>{html.escape(str(self))}</pre>"

    def _path(self, name):
        path = Path(self.best.folder) / name
        # Plain quantization was never trained.
        return path if path.exists() else path.with_name(name.replace("model", "untrained", 1))

    def __fspath__(self):
        return os.fspath(self._path("model.tflite"))


def _row(trial, is_best):
    return (
        f"{trial.name} *" if is_best else trial.name,
        trial.state,
        str(trial.epochs),
        "-" if trial.accuracy is None else f"{100 * trial.accuracy:.2f} %",
        *_figures(trial.objectives),
        trial.error or _in_one_line(trial.recipe),
    )


def _figures(objectives):
    if objectives is None:
        return ("-",) * 4
    return (
        f"{objectives.flash_bytes:,}",
        "-" if objectives.sram_bytes is None else f"{objectives.sram_bytes:,}",
        "-" if objectives.latency_ms is None else f"{objectives.latency_ms:.3f} ms",
        f"{objectives.macs:,}",
    )


def _in_one_line(recipe):
    """Write a recipe in a line, values for single layers as the set of them."""
    fields = recipe.to_json()
    del fields["profile"]
    texts = []
    for name, value in fields.items():
        if isinstance(value, dict):
            values = ", ".join(f"{v:g}" for v in sorted(set(value.values())))
            value = f"[{values}] in {len(value)} layers"
        texts.append(f"{name}={value}")
    return " ".join(texts) or "unchanged"
