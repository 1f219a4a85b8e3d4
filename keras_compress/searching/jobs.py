"""The job of a worker: which recipe to try, on which data, and how to train it.

Nothing heavy is imported here: drivers and schedulers pass these values around.
"""

import dataclasses
from typing import Any

from keras_compress.compression.recipe import Recipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class FineTuning:
    """How every trial is trained. See `kc.search` for what the fields mean."""

    epochs: int = 3
    batch_size: int = 64
    loss: Any = "sparse_categorical_crossentropy"
    metric: Any = None
    optimizer: Any = None
    temperature: float = 4.0
    alpha: float = 0.5
    features: Any = ()
    feature_loss: str = "attention"
    scored: int = 256
    calibrated: int = 256
    jit_compile: Any = False
    seed: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """A piece of a trial: train it up to an epoch, and measure what comes out.

    Args:
        number: The trial's number.
        recipe: Its `Recipe`.
        until: Epochs that it is trained for in all; 0 measures the file before any training.
        folder: Where it keeps its checkpoints and files.
    """

    number: int
    recipe: Recipe
    until: int
    folder: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Context:
    """What all trials share.

    Args:
        baseline: Path of the float model, a `.keras` file.
        train: Data to train on, as `TrainingData` takes them.
        validation: `(x, y)` arrays.
        tuning: `FineTuning`.
        search: Digest of the search, which its folders carry.
    """

    baseline: str
    train: Any
    validation: tuple[Any, Any]
    tuning: FineTuning
    search: str = ""
