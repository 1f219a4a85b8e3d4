"""What a search was asked for."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_compress.searching.constraints import Constraints
from keras_compress.searching.executors.base import Executor
from keras_compress.searching.jobs import Context, FineTuning


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """The arguments of one `kc.search`, checked and with their defaults filled in.

    Args:
        model: The trained float model.
        train: Data to train on, as `TrainingData` takes them.
        validation: `(x, y)` arrays that accuracy is measured on.
        profile: Name of the target, or path of its file.
        constraints: `Constraints` as the user gave them.
        tuning: How trials are trained.
        executor: What runs them.
        folder: Where checkpoints and files are kept.
        storage: URL of the Optuna storage.
        budget: Seconds, or `None` for no limit.
        max_trials: Number of trials, or `None` for no limit.
        generation_size: Trials that are asked for together.
        choices: The user's values for names of choices; `None` leaves the usual ones.
        starts: Choices to try first; `None` works them out.
        seed: Seed of the sampler.
    """

    model: keras.Model
    train: Any
    validation: tuple[Any, Any]
    profile: str
    constraints: Constraints
    tuning: FineTuning
    executor: Executor
    folder: Path
    storage: str
    budget: float | None = None
    max_trials: int | None = None
    generation_size: int = 6
    choices: Mapping[str, Sequence] | None = None
    starts: Sequence[Mapping] | None = None
    seed: int = 0

    @property
    def baseline_path(self) -> Path:
        """Where the float model is saved for the trials."""
        return self.folder / "baseline.keras"

    def context(self) -> Context:
        """Return what all trials share."""
        return Context(
            baseline=str(self.baseline_path),
            train=self.train,
            validation=self.validation,
            tuning=self.tuning,
        )

    def fingerprint(self) -> dict[str, Any]:
        """Return what must be equal for a search to continue an earlier one."""
        return {
            "model": _digest(self.model),
            "profile": self.profile,
            "constraints": dataclasses.asdict(self.constraints),
            "fine-tuning": {name: _as_text(value) for name, value in vars(self.tuning).items()},
            "space": {name: list(values) for name, values in (self.choices or {}).items()},
            "generation": self.generation_size,
        }


def _digest(model):
    digest = hashlib.sha256()
    for variable in model.weights:
        digest.update(np.ascontiguousarray(variable).tobytes())
    return digest.hexdigest()


def _as_text(value):
    """Return numbers and names unchanged, and of anything else the type: its text may vary."""
    return value if isinstance(value, int | float | str | None) else type(value).__name__
