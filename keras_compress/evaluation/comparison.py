"""`evaluate`: run a TFLite file on data and compare it with a baseline, without TensorFlow."""

import gzip
import platform
import warnings as python_warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from keras_compress._version import __version__
from keras_compress.data.evaluation_set import (
    arrange_inputs,
    arrange_targets,
    natural_order,
    read_samples,
)
from keras_compress.data.types import Samples
from keras_compress.evaluation import isolation, labels, runtimes
from keras_compress.evaluation.baseline import open_baseline
from keras_compress.evaluation.error_measures import output_error
from keras_compress.evaluation.execution import run_file, time_file
from keras_compress.evaluation.metric_choice import Metrics, choose_metrics, score
from keras_compress.evaluation.output_grid import (
    SATURATED,
    column_errors,
    ends,
    has_prescribed_grid,
    saturated,
    unlike_columns,
    unlike_sentence,
)
from keras_compress.evaluation.result import (
    BaselineResult,
    EvaluationResult,
    ModelResult,
    OutputResult,
    RuntimeInfo,
)
from keras_compress.evaluation.runtimes.base import Runtime, input_details, output_details
from keras_compress.evaluation.weight_histogram import file_histogram
from keras_compress.evaluation.weights import total_sparsity, weight_tensors
from keras_compress.tflite import flatbuffer
from keras_compress.tflite.types import FileSource

if TYPE_CHECKING:  # A board has no Keras.
    import keras

# A larger fraction of x outside the range of the file's input causes a warning.
_OUTSIDE = 0.01
_RANGE_SAMPLES = 256


def evaluate(
    model: FileSource,
    x: Samples,
    y: ArrayLike | Sequence[ArrayLike] | Mapping[str, ArrayLike] | None = None,
    baseline: "FileSource | keras.Model | None" = None,
    *,
    metrics: Metrics | None = None,
    runtime: str | type[Runtime] | None = None,
    batch_size: int | None = None,
    threads: int | None = None,
    latency_runs: int = 100,
    progress: bool | Callable[[int], Any] | None = None,
    baseline_file: FileSource | None = None,
    untrusted: bool | isolation.Isolation | None = None,
) -> EvaluationResult:
    """Run a TFLite file on data and compare it with its float baseline.

    Inputs are quantized and outputs dequantized with the file's own parameters. The baseline
    receives the same real values, and its outputs are the reference for the output error.

    Args:
        model: The file as bytes, path or `ConvertedModel`.
        x: Inputs in the units of training, never quantized beforehand: an array
            (samples, ...); for several inputs a dict by input name, or a list if the shapes or a
            Keras baseline determine its order. Or any other form of docs/data.md: a
            `tf.data.Dataset`, a path, a generator, a tuple (x, y).
        y: Targets: labels (whole numbers, of any type) or one-hot rows, or quantities, one per
            sample; the result's `metric_choice` says which they were taken for. For several
            outputs a dict by output name or a list. `None` uses the targets in x; without targets
            nothing is scored.
        baseline: The float Keras model, or a float `.tflite` as bytes or path.
        metrics: Name (`"accuracy"`, `"top_5_accuracy"`, `"mse"`, `"rmse"`, `"mae"`), callable
            f(y_true, y_pred) -> float, or a list or dict of them; `None` uses the accuracy for
            labels and the mean squared error for quantities.
        runtime: Name of the runtime (`"litert"`, `"litert_reference"`, `"tflite_runtime"`,
            `"tf_lite"`, `"tflite_micro"`, `"openvino"`, `"edgetpu"`); `None` uses the first that
            is installed, and TFLite Micro for a file whose weights are compressed for it.
        batch_size: Samples per invocation if the file allows it; `None` for up to 64.
        threads: Cores; `None` uses all for the outputs and one for the latency.
        latency_runs: Single invocations to time, 0 for none.
        progress: `True` or `False` for a progress bar or none; `None` for one on a terminal
            once it takes more than two seconds.
        baseline_file: Float `.tflite` of a Keras baseline, as bytes or path, for its size.
        untrusted: Whether the file and a `.tflite` baseline run in a separate process, where
            a crash, a hang or running out of memory is an `EvaluationError`: `True`, `False`, or an
            `Isolation` with limits. `None` isolates bytes and paths, and trusts the result of
            `kc.convert`.

    Returns:
        An `EvaluationResult`.

    Raises:
        FlatbufferError: The model is not a readable TFLite file.
        EvaluationError: The runtime is missing or refuses the file, or the baseline does not
            match the file.
        InvalidArgumentError: The data do not match the file, are empty or not finite.

    Example:
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
        >>> x, y = np.eye(8, dtype="float32"), np.arange(8) % 4
        >>> converted = kc.convert(model, "float32")
        >>> result = kc.evaluate(converted, x, y, baseline=model)
        >>> result.samples, 0 <= result.model.accuracy <= 1
        (8, True)
    """
    file = flatbuffer.read(model)
    chosen = runtimes.choose(runtime, file)
    isolated = isolation.isolation_for(untrusted, model, chosen)
    reference = None
    if baseline is not None:
        reference = open_baseline(baseline, baseline_file, untrusted)
    x, y = read_samples(x, y, input_details(file))
    arrays = arrange_inputs(x, input_details(file), reference and reference.input_order)
    file_names = _output_names(file)
    names = _names_for(y, file_names, getattr(model, "output_layers", ()), reference)
    targets = dict(zip(names, arrange_targets(y, names, len(arrays[0])), strict=True))
    warnings = _range_warnings(arrays, input_details(file))
    running = {"threads": threads, "batch_size": batch_size, "progress": progress}
    run = run_file(file, arrays, runtime=chosen, isolation=isolated, **running)
    predictions = dict(zip(names, _in_natural_order(run.arrays, file), strict=True))
    expected = [None] * len(names)
    if reference is not None:
        expected = reference.outputs(_for_keras(x, arrays), file_names, **running)
    references = dict(zip(names, expected, strict=True))
    targets = _with_labels(targets, references, predictions)
    grids = dict(zip(names, _in_natural_order(output_details(file), file), strict=True))
    outputs, metric_choice = _score(targets, predictions, references, metrics, grids)
    warnings += _grid_warnings(outputs, grids)
    main = _main_output(outputs, targets, predictions)
    figures = time_file(
        file,
        arrays,
        runtime=chosen,
        isolation=isolated,
        threads=threads,
        latency_runs=latency_runs,
    )
    return EvaluationResult(
        samples=len(arrays[0]),
        model=ModelResult(
            metrics=main.metrics,
            **_file_figures(file, getattr(model, "scopes", None)),
            latency_ms=figures.latency,
            arena=figures.arena,
        ),
        baseline=reference
        and BaselineResult(
            metrics=main.baseline_metrics,
            bytes=reference.bytes,
            kind=reference.kind,
            histogram=reference.histogram(),
        ),
        outputs=outputs,
        main_output=main.name,
        metric_choice=metric_choice,
        runtime=RuntimeInfo(chosen.name(), chosen.version(), run.threads, run.rows),
        versions=_versions(chosen),
        warnings=warnings,
    )


def _output_names(file):
    names = [tensor.name for tensor in output_details(file)]
    return [names[position] for position in natural_order(names)]


def _names_for(y, file_names, layers, reference):
    """Return the names of the outputs: those that the keys of y use, or the file's.

    A file often calls its outputs `output_0` and so on; users may call them by the names of the
    layers, or of a Keras model's outputs.
    """
    if isinstance(y, Mapping):
        if set(y) <= set(file_names):
            return file_names
        for names in (list(layers), reference and reference.output_order):
            if names and len(names) == len(file_names) and set(y) <= set(names):
                # Layers and the outputs of a Keras model come in the order of sorted names.
                by_file_name = dict(zip(sorted(file_names), names, strict=True))
                return [by_file_name[name] for name in file_names]
    return file_names


def _in_natural_order(arrays, file):
    order = natural_order([tensor.name for tensor in output_details(file)])
    return [arrays[position] for position in order]


def _for_keras(x, arrays):
    """Return x as arrays, in the structure that a Keras model takes."""
    if isinstance(x, Mapping):
        return {name: np.asarray(array) for name, array in x.items()}
    return arrays[0] if len(arrays) == 1 else [np.asarray(array) for array in x]


def _range_warnings(arrays, inputs):
    """Warn of inputs with many values that the file's integers cannot represent."""
    sentences = []
    for array, tensor in zip(arrays, inputs, strict=True):
        if not tensor.is_quantized:
            continue
        limits = np.iinfo(tensor.dtype)
        low, high = ((q - tensor.zero_point) * tensor.scale for q in (limits.min, limits.max))
        checked = array[:: -(-len(array) // _RANGE_SAMPLES)]
        slack = tensor.scale
        outside = ((checked < low - slack) | (checked > high + slack)).mean()
        if outside > _OUTSIDE:
            sentences.append(
                f"{outside:.1%} of the values for input {tensor.name!r} lie outside {low:.4g} to "
                f"{high:.4g}, the range of the file's {tensor.dtype}, and are clipped to it. Is x "
                "scaled as it was in training?"
            )
    for sentence in sentences:
        python_warnings.warn(sentence, stacklevel=3)
    return tuple(sentences)


def _grid_warnings(outputs, grids):
    """Warn of outputs whose one grid is too narrow, or too coarse for some columns."""
    sentences = []
    for output in outputs:
        grid = grids[output.name]
        if not grid.is_quantized or has_prescribed_grid(grid):
            continue
        low, high = ends(grid)
        if (output.saturated or 0) > SATURATED:
            sentences.append(
                f"{output.saturated:.1%} of the baseline's values of output {output.name!r} lie "
                f"beyond {low:.4g} to {high:.4g}, the range of the file's integers, and are "
                "clipped. Train or calibrate with samples that reach as far."
            )
        sizes = np.array([column.magnitude for column in output.columns])
        if pair := unlike_columns(sizes):
            sentences.append(unlike_sentence(f"of output {output.name!r}", sizes, *pair))
    for sentence in sentences:
        python_warnings.warn(sentence, stacklevel=3)
    return tuple(sentences)


def _score(targets, predictions, references, metrics, grids):
    """Return an `OutputResult` for each output, and how the metrics were chosen."""
    chosen, metric_choice = choose_metrics(metrics, targets, predictions)
    results = []
    for name, prediction in predictions.items():
        target, reference = targets[name], references[name]
        values, reference_values = (
            {key: score(metric, key, target, outputs) for key, metric in chosen[name].items()}
            if outputs is not None
            else {}
            for outputs in (prediction, reference)
        )
        results.append(
            OutputResult(
                name=name,
                metrics=values,
                baseline_metrics=reference_values,
                label_agreement=_agreement(target, prediction, reference),
                output_error=None if reference is None else output_error(reference, prediction),
                saturated=None if reference is None else saturated(reference, grids[name]),
                columns=_columns(target, reference, prediction),
            )
        )
    return tuple(results), metric_choice


def _with_labels(targets, references, predictions):
    """Turn labels that came as floats into integers, as the baseline's outputs tell."""
    return {
        name: None
        if target is None
        else labels.from_floats(
            target, predictions[name] if references[name] is None else references[name]
        )
        for name, target in targets.items()
    }


def _columns(target, reference, prediction):
    """Return the error of each column of quantities; scores of classes are of one kind."""
    if reference is None or target is not None and labels.are_labels(target, prediction):
        return ()
    return column_errors(reference, prediction)


def _agreement(target, prediction, reference):
    if reference is None or not _is_classes(target, prediction):
        return None
    return float((labels.predicted(reference) == labels.predicted(prediction)).mean())


def _is_classes(target, prediction):
    """Return whether an output predicts classes: by its targets if any, else by its shape."""
    if target is not None:
        return labels.are_labels(target, prediction)
    return prediction.ndim > 1 and prediction.shape[-1] > 1


def _main_output(outputs, targets, predictions):
    classes = [o for o in outputs if _is_classes(targets[o.name], predictions[o.name])]
    scored = [o for o in classes if "accuracy" in o.metrics]
    return (scored or classes or outputs)[0]


def _file_figures(file, scopes):
    weights = weight_tensors(file, scopes)
    return {
        "bytes": len(file.content),
        "gzip_bytes": len(gzip.compress(file.content, mtime=0)),
        "sparsity": total_sparsity(weights),
        "weights": tuple(weights),
        "histogram": file_histogram(file),
    }


def _versions(runtime):
    return {
        "keras_compress": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        runtime.package: runtime.version(),
    }
