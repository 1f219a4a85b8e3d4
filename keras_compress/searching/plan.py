"""What a search was asked for."""

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_compress.graph.graph import trace
from keras_compress.searching.constraints import Constraints
from keras_compress.searching.executors.base import Executor
from keras_compress.searching.jobs import Context, FineTuning
from keras_compress.searching.records import search_digest

# Of the configuration of a layer: what differs between two copies of a model.
_UNSTABLE = re.compile(
    r"name|shared_object_id|registered_name|code|trainable|dtype|(\w+_)?seed|\w*initializer"
)


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
            search=search_digest(self.fingerprint()),
        )

    @functools.cached_property
    def _fingerprint(self):
        return {
            "model": _digest(self.model),
            "architecture": architecture_digest(self.model),
            "profile": self.profile,
            "constraints": dataclasses.asdict(self.constraints),
            "fine-tuning": {name: _as_text(value) for name, value in vars(self.tuning).items()},
            "space": {name: list(values) for name, values in (self.choices or {}).items()},
            "generation": self.generation_size,
        }

    def fingerprint(self) -> dict[str, Any]:
        """Return what must be equal for a search to continue an earlier one."""
        return self._fingerprint


def architecture_digest(model: keras.Model) -> str:
    """Return a text that differs between models with other layers, arguments or connections.

    Names are left out, because Keras numbers them anew in each process, and so are seeds and
    initializers, which say nothing of a trained model.

    Args:
        model: A built `keras.Model`.
    """
    graph = trace(model)
    numbers = {id(value): n for n, value in enumerate(graph.flat_inputs)}
    calls = []
    for call in graph.calls:
        calls.append([_described(call.operation), [numbers[id(value)] for value in call.inputs]])
        for value in call.outputs:
            numbers[id(value)] = len(numbers)
    outputs = [numbers[id(value)] for value in graph.flat_outputs]
    return hashlib.sha256(json.dumps([calls, outputs]).encode()).hexdigest()


def _described(operation):
    try:
        config = operation.get_config()
    except Exception:  # layers of users may have none
        config = {}
    return [type(operation).__name__, _without_names(config)]


def _without_names(config):
    if isinstance(config, Mapping):
        kept = {key: value for key, value in config.items() if not _UNSTABLE.fullmatch(str(key))}
        return {str(key): _without_names(value) for key, value in sorted(kept.items())}
    if isinstance(config, list | tuple):
        return [_without_names(value) for value in config]
    return _as_text(config)


def _digest(model):
    digest = hashlib.sha256()
    for variable in model.weights:
        digest.update(keras.ops.convert_to_numpy(variable).tobytes())
    return digest.hexdigest()


def _as_text(value):
    """Return numbers and names unchanged, and of anything else the type: its text may vary."""
    return value if isinstance(value, int | float | str | None) else type(value).__name__
