"""What a search found: the best model, its file, all trials, and the trade-off between them."""

import dataclasses
import functools
import html
import json
import os
from pathlib import Path
from typing import Any

from keras_compress.compression.recipe import Recipe
from keras_compress.searching.constraints import Constraints
from keras_compress.searching.objectives import Objectives
from keras_compress.support.files import write_atomically
from keras_compress.support.tables import text_table

_HEADINGS = ("trial", "state", "epochs", "accuracy", "flash", "SRAM", "latency", "MACs", "recipe")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """One recipe that was tried.

    Args:
        number: Its number in Optuna's study; -1 is plain quantization without training.
        recipe: Its `Recipe`.
        state: `"complete"`, `"stopped"` (others of its generation were better), `"too large"`
            (its file broke a constraint before any training) or `"failed"`.
        epochs: Epochs that it was trained for.
        accuracy: On the validation data, in Keras where there is no file yet.
        objectives: Figures of its file, `None` where it failed; of a trial that was not
            completed those of the file before training.
        seconds: Time that it took.
        folder: Where its files are.
        error: Why it failed.
    """

    number: int
    recipe: Recipe
    state: str
    epochs: int = 0
    accuracy: float | None = None
    objectives: Objectives | None = None
    seconds: float = 0.0
    folder: str = ""
    error: str = ""

    @property
    def is_complete(self):
        """Whether it was trained to the end and measured."""
        return self.state == "complete"

    def to_json(self):
        """Return the fields as a dictionary that `json.dumps` takes."""
        measured = self.objectives and self.objectives.to_json()
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {**fields, "recipe": self.recipe.to_json(), "objectives": measured}


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
        done = [trial for trial in self.trials if trial.is_complete]
        return tuple(t for t in done if not any(dominates(o, t) for o in done))

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
        objectives = self.best.objectives
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


def dominates(one, other):
    """Tell whether a trial is at least as good as another in everything, and better in one."""
    a, b = _judged(one.objectives), _judged(other.objectives)
    return all(x <= y for x, y in zip(a, b, strict=True)) and a != b


def _judged(objectives):
    time = objectives.macs if objectives.latency_ms is None else objectives.latency_ms
    return -objectives.accuracy, objectives.flash_bytes, time


def _row(trial, is_best):
    measured: Any = trial.objectives
    unknown = ("-",) * 4
    figures = (
        unknown
        if measured is None
        else (
            f"{measured.flash_bytes:,}",
            "-" if measured.sram_bytes is None else f"{measured.sram_bytes:,}",
            "-" if measured.latency_ms is None else f"{measured.latency_ms:.3f} ms",
            f"{measured.macs:,}",
        )
    )
    name = "plain" if trial.number < 0 else str(trial.number)
    return (
        f"{name} *" if is_best else name,
        trial.state,
        str(trial.epochs),
        "-" if trial.accuracy is None else f"{100 * trial.accuracy:.2f} %",
        *figures,
        trial.error or _words(trial.recipe),
    )


def _words(recipe):
    """Say a recipe in a line: tables by their mean."""
    fields = recipe.to_json()
    del fields["profile"]
    parts = []
    for name, value in fields.items():
        if isinstance(value, dict):
            found = ", ".join(f"{v:g}" for v in sorted(set(value.values())))
            value = f"[{found}] in {len(value)} layers"
        parts.append(f"{name}={value}")
    return " ".join(parts) or "as it is"
