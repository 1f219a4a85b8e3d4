"""Compression in one call: `kc.autocompress`."""

import os
import shutil
import tempfile
import weakref
from typing import Any

import keras

from keras_compress.data.model_inputs import input_specs
from keras_compress.data.splitting import split_data
from keras_compress.data.types import Samples
from keras_compress.edge_profiles.profile import Profile
from keras_compress.searching.constraints import Constraints
from keras_compress.searching.result import SearchResult
from keras_compress.searching.search import search


def autocompress(
    model: keras.Model,
    data: Samples,
    max_accuracy_drop: float = 0.01,
    seconds: float = 600,
    *,
    validation: Samples | None = None,
    profile: str | os.PathLike | Profile = "generic_int8",
    epochs: int = 3,
    folder: str | os.PathLike | None = None,
    progress: bool | None = None,
    **options: Any,
) -> SearchResult:
    """Find the smallest, fastest form of a model that keeps its accuracy, in a given time.

    One call of `kc.search` with the accuracy and the profile's memory as the only limits. A
    bar shows the best so far.

    Args:
        model: The trained float model, a built Sequential or functional `keras.Model`.
        data: `(x, y)` arrays to train on, or samples with labels in any form of docs/data.md; a
            fifth is kept for validation if none are given, of data that are read whole.
        max_accuracy_drop: Most accuracy that may be lost; 0.01 is one point.
        seconds: Time that it may take; trials that are running then are finished.
        validation: As in `kc.search`.
        profile: Name or path of the target.
        epochs: Epochs of fine-tuning of a trial that is not stopped.
        folder: As in `kc.search`. Default: a temporary one, deleted with the result.
        progress: Whether to show a bar; `None` shows it on a terminal.
        **options: Further arguments of `kc.search`.

    Returns:
        A `SearchResult`: `model`, `file`, `recipe`, `unmet`.

    Raises:
        InvalidArgumentError: Data without labels, or as for `kc.search`.
        MissingPackageError: Optuna is not installed.

    Example:
        >>> result = kc.autocompress(model, (x, y), seconds=600)  # doctest: +SKIP
        >>> open("model.tflite", "wb").write(result.file)  # doctest: +SKIP
    """
    if validation is None:
        inputs = input_specs(model) if isinstance(model, keras.Model) else None
        data, validation = split_data(data, inputs)
    search_folder = tempfile.mkdtemp(prefix="keras_compress_") if folder is None else folder
    result = search(
        model,
        data,
        validation,
        profile=profile,
        constraints=Constraints(max_accuracy_drop=max_accuracy_drop),
        budget=seconds,
        epochs=epochs,
        folder=search_folder,
        progress=progress,
        **options,
    )
    if folder is None:
        weakref.finalize(result, shutil.rmtree, search_folder, ignore_errors=True)
    return result
