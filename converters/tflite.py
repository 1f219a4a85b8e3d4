"""Convert a Keras model to a checked TFLite file: `kc.convert`."""

import dataclasses
import os
import warnings
from collections.abc import Iterable

import keras

from keras_compress.compression.apply import strip
from keras_compress.compression.checks import check_finite
from keras_compress.converters import (
    export,
    file_inputs,
    fused_lstm_file,
    keras2,
    missing_ranges,
    trained_lstm_file,
    trial_run,
)
from keras_compress.converters.converted_model import ConvertedModel
from keras_compress.converters.deployment import Deployable, prepare
from keras_compress.converters.engines.base import Engine
from keras_compress.converters.file_inputs import InputShapes
from keras_compress.converters.full_precision import HALF_PRECISION, float32_policy, in_float32
from keras_compress.converters.fused_lstm_tensorflow import GATES
from keras_compress.converters.options import ConversionOptions, Mode
from keras_compress.converters.promises import expected_zeros
from keras_compress.converters.range_warnings import range_warnings
from keras_compress.converters.recurrent_layers import refuse_loops, state_warnings
from keras_compress.converters.rewriting import rewrite
from keras_compress.converters.trained_lstm_file import trained_lstms
from keras_compress.converters.verification import (
    advice_on_learned_ranges,
    read_back,
    require,
    require_learned_ranges,
    verify,
)
from keras_compress.converters.weight_scales import carry_scales
from keras_compress.data import representative_dataset
from keras_compress.data.types import Samples
from keras_compress.edge_profiles import profile as edge_profile
from keras_compress.edge_profiles.profile import Profile
from keras_compress.errors import InvalidArgumentError, UnknownNameError
from keras_compress.graph.graph import all_layers, trace
from keras_compress.graph.subclassed import NoGraphError, as_one_layer
from keras_compress.support import plugins
from keras_compress.support.files import temporary_folder
from keras_compress.support.progress import ProgressBar
from keras_compress.tflite._reader import operator_names
from keras_compress.wrappers.compressed_layer import CompressedLayer

ENGINES = "keras_compress.converters.engines"
_ATTEMPTS = 5


@float32_policy()
def convert(
    model: keras.Model | str | os.PathLike,
    profile: str | os.PathLike | Profile = "generic_int8",
    representative_dataset: Samples | None = None,
    *,
    calibration_samples: int = 500,
    input_type: str | None = None,
    output_type: str | None = None,
    input_shapes: InputShapes | None = None,
    allow_float: str | Iterable[str] = (),
    batch_size: int = 1,
    engine: str | Engine = "tensorflow",
    rewrites: bool = True,
    progress: bool | None = None,
) -> ConvertedModel:
    """Convert a Keras model to a TFLite file, check that it keeps every promise, and run it once.

    Args:
        model: A built Sequential or functional `keras.Model`, plain or compressed, or anything
            that `kc.load_model` accepts: the path of a `.keras` or `.h5` file or of a SavedModel
            of Keras 2, or a `tf_keras` model.
        profile: Name, path or `Profile` of the target. `"float32"` makes the float file that
            others are compared with.
        representative_dataset: Samples that show the ranges of activations: an array
            (n_samples, *shape), a list or dict of arrays (several inputs), a generator function,
            a `tf.data.Dataset`, a path, or any other form of docs/data.md. Not needed for
            `"float32"`, or if training has learned every range; ranges that it never observed are
            measured in the samples, with a warning.
        calibration_samples: Largest number of samples to use.
        input_type: Type of the file's inputs: `"int8"`, `"uint8"`, `"int16"` or `"float32"`.
            Default: `"uint8"` for an int8 file of a model whose inputs are all `uint8` and only
            cast or rescaled, otherwise the profile's.
        output_type: Type of the file's outputs. Default: the profile's.
        input_shapes: Shape of one sample, without the batch, for a model whose inputs have free
            sizes (`None`): a tuple, or a dict by the names of inputs.
        allow_float: Names of operators (`"ELU"`) or layers that may stay in float.
        batch_size: Fixed size of the first dimension.
        engine: Name or instance of an `Engine`.
        rewrites: Whether to rewrite layers that the target has no operator for as operators that
            it has, where results stay the same (UpSampling2D, hard_swish, LeakyReLU, ...); the
            result's `rewritten` lists them.
        progress: Whether to show a progress bar. Default: only on a terminal.

    Returns:
        A `ConvertedModel`.

    Raises:
        ConversionError: The conversion failed, or its file breaks a promise or does not run; the
            message names the operator, the Keras layer and what to do.
        InvalidArgumentError: The samples, a type or a name cannot be used, or weights are not
            finite.
        UnsupportedModelError: The model is subclassed, unbuilt, or has inputs of free size.

    Example:
        >>> converted = kc.convert(model, "cortex_m7", x_train[:200])  # doctest: +SKIP
        >>> converted.save("model.tflite")  # doctest: +SKIP
    """
    target = edge_profile.get(profile)
    engine = plugins.resolve(ENGINES, engine, Engine)
    model, representative_dataset, missing = _with_missing_ranges(
        file_inputs.with_shapes(_loaded(model), input_shapes),
        target,
        representative_dataset,
        calibration_samples,
    )
    melted = file_inputs.melt_casts(model, ConversionOptions.from_profile(target).mode)
    deployable, rewritten = _deployable(melted.model, target), {}
    if ConversionOptions.from_profile(target).is_quantized:
        refuse_loops(
            deployable.model,
            target,
            engine,
            rewrites=rewrites,
            has_ranges=deployable.quantized,
        )
    if rewrites:
        deployable, rewritten = _rewrite(deployable, target, allow_float, engine)
    options = ConversionOptions.from_profile(
        target,
        input_type=input_type or melted.input_type,
        output_type=output_type,
        per_channel=_granularity(target, deployable, "per_channel"),
        per_channel_dense=_granularity(target, deployable, "per_channel_dense"),
        allow_float=allow_float,
        batch_size=batch_size,
    )
    check_finite(deployable.model)
    inputs = export.input_specs(deployable.model, deployable.input_ranges | melted.ranges)
    calibration = _calibration(
        representative_dataset, inputs, deployable, options, calibration_samples
    )
    if calibration is not None:
        calibration = file_inputs.with_whole_ranges(calibration, melted.ranges)
    trial_run.prepare()
    carried = _carried(deployable)
    zeros = expected_zeros(deployable)
    with temporary_folder() as folder:
        path = os.path.join(folder, "saved_model")
        exported = export.export(deployable.model, path, inputs, batch_size)
        _check_names(options.allow_float, exported.scopes)
        for _ in range(_ATTEMPTS):
            with ProgressBar("Calibrating", progress, leave=False) as bar:
                content = engine.convert(exported, calibration, options, bar.update)
            content = fused_lstm_file.finish(
                content, deployable.model, exported.scopes, calibration
            )
            content = trained_lstm_file.write(content, deployable, exported.scopes)
            if options.has_integer_weights and carried:
                content = carry_scales(content, carried, int4=target.int4)
            emitted = read_back(
                content,
                options,
                scopes=exported.scopes,
                outputs=exported.output_layers,
                zeros=zeros,
                kernels=deployable.kernels,
            )
            findings = verify(emitted)
            if not _is_chance(findings):
                break
    advice = ""
    if deployable.quantized:
        advice = advice_on_learned_ranges(findings, representative_dataset is not None)
    require(findings, advice)
    if options.is_quantized and representative_dataset is None:
        require_learned_ranges(emitted, deployable.model)
    outputs = trial_run.run(emitted.model, inputs, calibration)
    messages = (*missing, *(calibration.warnings if calibration else ()))
    if options.is_quantized:
        unlike = range_warnings(
            deployable.model, emitted, calibration, outputs, deployable.quantized
        )
        said = (*state_warnings(deployable.model), *unlike)
        for message in said:
            warnings.warn(message, stacklevel=3)
        messages += said
    return ConvertedModel(
        content=content,
        profile=target.name,
        warnings=messages,
        scopes=exported.scopes,
        output_layers=exported.output_layers,
        rewritten=rewritten,
    )


def _loaded(model):
    """Return the Keras 3 model, with every layer computing in float32.

    A subclassed model without a graph is one layer: its file needs only what TensorFlow traces.
    """
    if not isinstance(model, keras.Model):
        model = keras2.load_model(model, compile=False)
    try:
        trace(model)
    except NoGraphError:
        model = as_one_layer(model)
    has_half = any(layer.compute_dtype in HALF_PRECISION for layer in all_layers(model))
    return in_float32(model) if has_half else model


def _with_missing_ranges(model, target, dataset, calibration_samples):
    """Measure the ranges that training never observed, if there are samples.

    Returns:
        Tuple (model, samples to go on with, warnings).
    """
    mode = ConversionOptions.from_profile(target).mode
    if dataset is None or mode in (Mode.FLOAT32, Mode.FLOAT16) or not missing_ranges.any_of(model):
        return model, dataset, ()
    inputs = export.input_specs(model)
    samples = representative_dataset.normalize(dataset, inputs, calibration_samples).arrays
    warning = missing_ranges.warning(model)
    warnings.warn(warning, stacklevel=4)
    return missing_ranges.measured(model, samples), samples, (warning,)


def _rewrite(deployable, target, allow_float, engine):
    """Rewrite layers as operators that the target has, except those that may stay in float."""
    allowed = {allow_float} if isinstance(allow_float, str) else set(allow_float)
    result = rewrite(
        deployable.model,
        target,
        # Of 16 bits no range is in the graph: calibration measures them.
        has_ranges=deployable.quantized and target.activation_bits <= 8,
        kept=allowed,
        compressed={kernel.layer for kernel in deployable.kernels},
        without=engine.unsupported_rewrites,
    )
    fused = {name for name, rewrite in result.rewritten.items() if rewrite == "fused_lstm"}
    kernels = tuple(
        part
        for kernel in deployable.kernels
        for part in (kernel.cut(GATES) if kernel.layer in fused else (kernel,))
    )
    return dataclasses.replace(deployable, model=result.model, kernels=kernels), result.rewritten


def _carried(deployable):
    """Return the kernels whose grids are written into the file once the converter has made it."""
    lstms = {layer.wrapper_name for layer in trained_lstms(deployable.model)}
    return [
        kernel
        for kernel in deployable.kernels
        if kernel.layer not in lstms and (kernel.has_scales_of_its_own or kernel.has_one_scale)
    ]


def _is_chance(findings):
    """Return whether another conversion of the same model may succeed.

    TensorFlow's converter sometimes leaves a SPLIT in float (4 of 20 conversions of one
    unrolled GRU with TensorFlow 2.21) and quantizes it the other times.
    """
    return bool(findings) and {finding.operator for finding in findings} == {"SPLIT"}


def _deployable(model, target):
    """Return the model to export, if its training fits the target."""
    mode = ConversionOptions.from_profile(target).mode
    wrappers = [layer for layer in all_layers(model) if isinstance(layer, CompressedLayer)]
    if mode in (Mode.FLOAT32, Mode.FLOAT16):
        return Deployable(strip(model) if wrappers else model)
    if target.weight_bits[0] < 8 and not any(wrapper.quantization for wrapper in wrappers):
        raise InvalidArgumentError(
            f"Profile {target.name!r} has {target.weight_bits[0]}-bit weights, which are chosen "
            f"before conversion: model = kc.compress(model, quantization={target.name!r}), then "
            "kc.calibrate(model, samples) or fit. Received: a model without quantized weights"
        )
    if mode is Mode.DYNAMIC_RANGE:
        return prepare(model, batch_size=None, ranges=False)
    deployable = prepare(model, batch_size=None)
    trained = deployable.activation_bits
    if trained not in (None, target.activation_bits):
        raise InvalidArgumentError(
            f"The model was trained with {trained}-bit activations, but profile {target.name!r} "
            f"has {target.activation_bits} bits: compress it with "
            f"kc.Quantization(profile={target.name!r}), or convert kc.strip(model)."
        )
    return deployable


def _granularity(target, deployable, field):
    """Return whether kernels have a scale per channel: as trained, else as the profile says."""
    trained, default = getattr(deployable, field), getattr(target, field)
    if trained and not default:
        raise InvalidArgumentError(
            f"The model was trained with {field}=True, but profile {target.name!r} has one scale "
            f"for a whole kernel: compress it with kc.Quantization(profile={target.name!r}), or "
            "convert kc.strip(model)."
        )
    return default if trained is None else trained


def _calibration(dataset, inputs, deployable, options, calibration_samples):
    if not options.is_quantized:
        return None
    if dataset is None and deployable.quantized and options.mode is Mode.INT8:
        return None
    calibration = representative_dataset.normalize(dataset, inputs, calibration_samples)
    for message in calibration.warnings:
        # The caller is behind `_calibration`, `convert` and the function that sets its policy.
        warnings.warn(message, stacklevel=4)
    return calibration


def _check_names(allowed, scopes):
    """Refuse a name in `allow_float` that is neither an operator nor a layer."""
    layers = set()
    for path in scopes.values():
        parts = path.split("/")
        layers |= {parts[-1], *("/".join(parts[:length]) for length in range(1, len(parts) + 1))}
    for name in allowed - layers:
        if name not in operator_names():
            raise UnknownNameError("layer or operator", name, layers)
