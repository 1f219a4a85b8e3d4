"""`kc.check`: whether a file, or a Keras model before it is trained, runs on a target.

A file needs neither TensorFlow nor Keras, so this module imports neither.
"""

import dataclasses
import os
import sys
from typing import TYPE_CHECKING

from keras_compress.edge_profiles import profile as edge_profile
from keras_compress.edge_profiles import verdict as file_verdict
from keras_compress.edge_profiles.profile import Profile
from keras_compress.edge_profiles.target_finding import Severity, TargetFinding
from keras_compress.edge_profiles.verdict import Verdict
from keras_compress.errors import CompressionError, InvalidArgumentError
from keras_compress.support.process_state import without_warnings
from keras_compress.tflite.types import FileSource

if TYPE_CHECKING:
    import keras

    from keras_compress.converters.file_inputs import InputShapes

REFUSED = "does_not_convert"
_MODEL_FILES = (".keras", ".h5", ".hdf5")


def check(
    model: "FileSource | keras.Model",
    profile_or_name: str | os.PathLike | Profile,
    *,
    input_shapes: "InputShapes | None" = None,
) -> Verdict:
    """Check whether a TFLite file runs on a target, or whether a Keras model will.

    Each operator of a file is compared with the profile's table, and memory with the profile's
    budgets; neither the target nor TensorFlow is needed. A damaged file gets a verdict too, with
    the finding `corrupt_file`.

    A Keras model need not be trained: it is converted with samples made from a seed, which takes
    seconds, and that file is checked. Operators, flash and SRAM are those of the trained model's
    file; values and accuracy are not. A model that does not convert gets a verdict with findings
    `does_not_convert`.

    Args:
        model: Path or bytes of a `.tflite`, a `ConvertedModel`, a Keras model, plain or
            compressed, or the path of one (`.keras`, `.h5`, SavedModel of Keras 2).
        profile_or_name: Name of a profile, path of a user's own `.toml`, or a `Profile`.
        input_shapes: Shape of one sample, without the batch, for a Keras model whose inputs have
            free sizes: a tuple, or a dict by the names of inputs.

    Returns:
        A `Verdict`: `print` it, or use `to_json()` in programs.

    Raises:
        UnknownNameError: No profile has that name.
        ProfileError: The user's profile breaks a rule.
        FlatbufferError: There is no such file, or it is not a TFLite file.
        InvalidArgumentError: The path of a Keras model cannot be loaded.

    Example:
        >>> kc.check("model.tflite", "cortex_m7").verdict  # doctest: +SKIP
        'runs'
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
        >>> kc.check(model, "cortex_m7").verdict
        'runs'
    """
    if is_keras(model):
        return _check_model(model, edge_profile.get(profile_or_name), input_shapes)
    if input_shapes is not None:
        raise InvalidArgumentError(
            "input_shapes= is for Keras models; the inputs of a file have their sizes. "
            f"Received: input_shapes={input_shapes!r}"
        )
    return file_verdict.check(model, profile_or_name)


def is_keras(model: object) -> bool:
    """Tell whether something is a Keras model, or the path of one, rather than a TFLite file."""
    if isinstance(model, str | os.PathLike):
        path = os.fspath(model)
        return path.endswith(_MODEL_FILES) or os.path.isdir(path)
    # Whoever has a model has imported its library.
    libraries = (sys.modules.get(name) for name in ("keras", "tf_keras"))
    return any(library and isinstance(model, library.Model) for library in libraries)


def _check_model(model, target, input_shapes):
    """Convert a model with samples made for it, and judge the file or the refusal."""
    from keras_compress.converters import file_inputs, keras2, tflite
    from keras_compress.converters.made_up_samples import made_up_samples

    model = keras2.load_model(model, compile=False)
    try:
        # Warnings of ranges would be about the samples.
        with without_warnings():
            model = file_inputs.with_shapes(model, input_shapes)
            converted = tflite.convert(model, target, made_up_samples(model), progress=False)
    except CompressionError as error:
        verdict = file_verdict.refused(target, _refusals(error))
    else:
        verdict = file_verdict.check(converted, target)
    return dataclasses.replace(verdict, made_up_samples=True)


def _refusals(error):
    """Yield a finding for each broken promise, or one with the error's own sentence."""
    for finding in getattr(error, "findings", ()):
        yield TargetFinding(
            code=REFUSED,
            severity=Severity.ERROR,
            operator=finding.operator,
            layer=finding.layer,
            message=finding.message,
            fix=finding.fix,
        )
    if not getattr(error, "findings", ()):
        yield TargetFinding(code=REFUSED, severity=Severity.ERROR, message=str(error))
