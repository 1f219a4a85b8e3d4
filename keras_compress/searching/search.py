"""Find the compression that keeps to a budget: `kc.search`."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_compress.data.model_inputs import input_specs
from keras_compress.data.reading import read
from keras_compress.data.training_data import as_fit_takes
from keras_compress.data.types import Samples
from keras_compress.edge_profiles import profile as edge_profile
from keras_compress.edge_profiles.profile import Profile
from keras_compress.errors import InvalidArgumentError
from keras_compress.graph.graph import trace
from keras_compress.searching.clock import SearchClock
from keras_compress.searching.conclusion import conclude
from keras_compress.searching.constraints import Constraints
from keras_compress.searching.executors.base import Executor
from keras_compress.searching.halving import Halving
from keras_compress.searching.jobs import FineTuning
from keras_compress.searching.ledger import Ledger, sqlite
from keras_compress.searching.plan import SearchPlan
from keras_compress.searching.preparation import prepare
from keras_compress.searching.progress import SearchBar
from keras_compress.searching.result import SearchResult
from keras_compress.searching.trial_runner import TrialRunner
from keras_compress.support import plugins

EXECUTORS = "keras_compress.searching.executors"
_TRIALS = 12


def search(
    build_or_model: keras.Model | Callable[[], keras.Model],
    train: Samples,
    validation: Samples,
    *,
    profile: str | os.PathLike | Profile = "generic_int8",
    constraints: Constraints | None = None,
    budget: float | None = None,
    trials: int | None = None,
    epochs: int = 3,
    generation: int = 6,
    space: Mapping[str, Sequence[Any]] | None = None,
    starts: Sequence[Mapping[str, Any]] | None = None,
    folder: str | os.PathLike = "keras_compress_search",
    storage: str | None = None,
    executor: str | Executor = "local",
    batch_size: int = 64,
    loss: str | Callable = "sparse_categorical_crossentropy",
    metric: Callable[[np.ndarray, np.ndarray], float] | None = None,
    optimizer: str | Callable[[int], keras.optimizers.Optimizer] | None = None,
    temperature: float = 4.0,
    alpha: float = 0.5,
    features: Sequence[str] | Mapping[str, str] = (),
    jit_compile: bool | str = False,
    seed: int = 0,
    progress: bool | None = None,
) -> SearchResult:
    """Find the smallest, fastest compression of a model that keeps to constraints.

    First it measures plain quantization, how sensitive each layer is to zeros and few bits, and
    how accurate the model stays after several ways of removing channels, with the statistics of
    BatchNormalizations measured again. Then it tries generations of recipes: the first from these
    figures, the others from Optuna's multi-objective sampler (accuracy, bytes, time). Each
    recipe's file is measured before any training; those that break a limit are not trained. The
    better half of the others is fine-tuned with the float model as teacher, by successive halving:
    after a ninth and a third of the epochs only the best third continues. Everything is recorded
    in `folder`: a search that was killed continues where it was when it is called again with the
    same arguments. Records that are damaged or deleted are found out again; those of another
    model are refused.

    Args:
        build_or_model: The trained float model, a built Sequential or functional `keras.Model`,
            or a function that returns it.
        train: `(x, y)` arrays, a `keras.utils.PyDataset`, a `tf.data.Dataset` of batches, a torch
            `DataLoader`, the path of an `.npz` file or of a folder of images, or a function that
            makes one of the first four anew for every training.
        validation: `(x, y)` arrays, or samples with labels in any form of docs/data.md, that
            accuracy is measured on. The winner is chosen by them and so looks a little too good
            on them: keep other data for the final evaluation.
        profile: Name or path of the target.
        constraints: `kc.Constraints`. Default: at most one point lost, the profile's memory.
        budget: Seconds that the search may take, earlier runs of it included. `None`: no limit.
            Trials that are running when the time is up are finished.
        trials: Most recipes to try. Default: 12 without a budget, no limit with one.
        epochs: Epochs of fine-tuning of a trial that is not stopped. 0 tries post-training
            compression alone.
        generation: Recipes that are asked for together.
        space: Dict from the name of a choice to values, in place of the usual ones: `"macs"`,
            `"blocks"`, `"sparsity"`, `"narrow"` (share of weights with 4 bits), `"clusters"`,
            `"allocation"` (`"sensitivity"` or `"uniform"`), `"pattern"`, `"criterion"`,
            `"ranking"`, `"weight_quantizer"`, `"calibrator"`, `"rounding"`.
        starts: List of dicts of choices to try first, in place of those that are worked out.
        folder: Where the storage, checkpoints and files are; all workers must see it.
        storage: URL of an Optuna storage that trials are copied to, for its dashboard. Default: a
            SQLite file in `folder`.
        executor: `"local"`, `"ray"`, or an instance.
        batch_size: Samples in a batch that is cut from arrays.
        loss: A Keras loss or its name.
        metric: Function f(y_true, y_pred) -> float, more being better. Default: the accuracy.
        optimizer: Name of a Keras optimizer, or a function from the number of updates to an
            optimizer. Default: Adam from 0.002 along a cosine.
        temperature: Of the distillation, see `kc.Distillation`.
        alpha: The teacher's share of the loss; 0 trains without it.
        features: Layers whose outputs are compared too.
        jit_compile: As in `keras.Model.compile`. Default false: on a CPU XLA is slower.
        seed: Of the sampler and every training.
        progress: Whether to show a bar with the best so far; `None` shows it on a terminal.

    Returns:
        A `SearchResult`: `model`, `file`, `recipe`, `trials`, `pareto`. Where no recipe keeps to
        the constraints it has the nearest one, and `unmet` says which binds and by how much.

    Raises:
        InvalidArgumentError: Arguments out of range, a latency that cannot be measured here, or
            a folder that holds another search.
        MissingPackageError: Optuna, or the executor's package, is not installed.

    Example:
        >>> result = kc.search(  # doctest: +SKIP
        ...     model,
        ...     (x, y),
        ...     (x_val, y_val),
        ...     profile="cortex_m4",
        ...     constraints=kc.Constraints(max_accuracy_drop=0.01, flash_bytes=60_000),
        ...     budget=1800,
        ... )
        >>> result.recipe.save("recipe.toml")  # doctest: +SKIP

    Source: Jamieson and Talwalkar 2016, "Non-stochastic best arm identification and
    hyperparameter optimization" (successive halving); Li et al. 2020, "EagleEye: fast sub-net
    evaluation for efficient neural network pruning" (statistics measured again);
    Watanabe 2023, "Tree-structured Parzen estimator" (Optuna's sampler); Han et al. 2015,
    "Learning both weights and connections for efficient neural networks", section 3.4
    (sensitivity of layers).
    """
    _check(budget, trials, epochs, generation)
    target = edge_profile.get(profile)
    constraints = Constraints() if constraints is None else constraints
    _check_latency(constraints, target)
    if trials is None and budget is None:
        trials = _TRIALS
    model = _built(build_or_model)
    inputs = input_specs(model)
    plan = SearchPlan(
        model=model,
        train=as_fit_takes(train, inputs),
        validation=_read_validation(validation, inputs),
        profile=str(profile) if isinstance(profile, str) else target.name,
        constraints=constraints,
        tuning=FineTuning(
            epochs=epochs,
            batch_size=batch_size,
            loss=loss,
            metric=metric,
            optimizer=optimizer,
            temperature=temperature,
            alpha=alpha,
            features=features,
            jit_compile=jit_compile,
            seed=seed,
        ),
        executor=plugins.resolve(EXECUTORS, executor, Executor),
        folder=Path(folder),
        storage=storage or sqlite(folder),
        budget=budget,
        max_trials=trials,
        generation_size=generation,
        choices=space,
        starts=starts,
        seed=seed,
    )
    with SearchBar(budget, trials, progress) as bar:
        return _run(plan, bar)


def _run(plan, bar):
    """Carry out a plan: prepare, try generations, and measure the winner again."""
    _make(plan.folder)
    ledger = Ledger(plan.folder, plan.storage, plan.fingerprint(), plan.seed)
    clock = SearchClock(plan.budget, ledger.remember("seconds", lambda: 0.0, float))
    runner = TrialRunner(plan, ledger, clock, bar)
    prepared = prepare(plan, ledger, runner)
    Halving(plan, prepared, ledger, runner, clock, bar).run()
    return conclude(plan, prepared, ledger, list(runner.trials.values()), clock.spent())


def _make(folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidArgumentError(
            "folder must be one that exists or can be made. "
            f"Received: folder={str(folder)!r} ({error.strerror})"
        ) from error


def _built(build_or_model):
    """Return the model, once it is sure that its graph can be read."""
    is_model = isinstance(build_or_model, keras.Model)
    model = build_or_model if is_model else build_or_model()
    trace(model)
    return model


def _check(budget, trials, epochs, generation):
    for name, value, least in (
        ("trials", trials, 1),
        ("epochs", epochs, 0),
        ("generation", generation, 1),
    ):
        if value is not None and (not isinstance(value, int) or value < least):
            raise InvalidArgumentError(
                f"{name} must be a whole number of at least {least}. Received: {name}={value!r}"
            )
    if budget is not None and not budget > 0:
        raise InvalidArgumentError(
            f"budget must be a number of seconds above 0, or None. Received: budget={budget!r}"
        )


def _read_validation(validation, inputs):
    x, y = read(validation, inputs).whole()
    if y is None:
        raise InvalidArgumentError(
            "validation must hold samples and labels, such as (x, y): files are evaluated on them. "
            f"Received: samples without labels, of type {type(validation).__name__}"
        )
    return x, y


def _check_latency(constraints, target):
    timed = bool(target.vela) or target.runs_in_litert
    if constraints.latency_ms is not None and not timed:
        raise InvalidArgumentError(
            f"No latency of {target.name} can be had on this machine: LiteRT times files for "
            "its own targets and Vela estimates it for an Ethos-U. Limit macs= instead. "
            f"Received: latency_ms={constraints.latency_ms!r}"
        )
