"""`evaluate`: a TFLite file on data, beside its float baseline, without TensorFlow."""

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

# More of x than this outside the range of the file's input is worth a word.
_OUTSIDE = 0.01
_LOOKED_AT = 256


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

    Inputs are quantized and outputs dequantized by the file's own parameters. The baseline
    gets the same real values, and its outputs are the reference of the output error.

    Args:
        model: The file as bytes, path or `ConvertedModel`.
        x: Inputs in the units of training, never quantized beforehand: an array
            (samples, ...); for several inputs a dict by input name, or a list where the
            shapes or a Keras baseline tell which is which. Or any other form of docs/data.md:
            a `tf.data.Dataset`, a path, a generator, a tuple (x, y).
        y: Targets: integer labels or one-hot rows, or quantities, one per sample; for several
            outputs a dict by output name or a list. `None` takes those that come with x; without
            targets nothing is scored.
        baseline: The float Keras model, or a float `.tflite` as bytes or path.
        metrics: Name (`"accuracy"`, `"top_5_accuracy"`, `"mse"`, `"rmse"`, `"mae"`), callable
            f(y_true, y_pred) -> float, or a list or dict of them; `None` takes the accuracy
            for labels and the mean squared error for quantities.
        runtime: Name of the runtime (`"litert"`, `"litert_reference"`, `"tflite_runtime"`,
            `"tf_lite"`, `"tflite_micro"`, `"openvino"`, `"edgetpu"`); `None` takes the first that
            is installed, and TFLite Micro for a file whose weights are compressed for it.
        batch_size: Samples per invocation where the file allows; `None` for up to 64.
        threads: Cores; `None` takes all for the outputs and one for the latency.
        latency_runs: Single invocations to time, 0 for none.
        progress: `True` or `False` for a progress bar or none; `None` for one on a terminal
            once it takes more than two seconds.
        baseline_file: Float `.tflite` of a Keras baseline, as bytes or path, for its size.
        untrusted: Whether the file and a `.tflite` baseline run in a process of their own, where
            a crash, a hang or running out of memory is an `EvaluationError`: `True`, `False`, or an
            `Isolation` with limits. `None` isolates bytes and paths, and trusts what `kc.convert`
            returned.

    Returns:
        An `EvaluationResult`.

    Raises:
        FlatbufferError: The model is no readable TFLite file.
        EvaluationError: The runtime is missing or refuses the file, or the baseline does not
            fit.
        InvalidArgumentError: The data do not fit the file, are empty or not finite.

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
    answered = run_file(file, arrays, runtime=chosen, isolation=isolated, **running)
    answers = dict(zip(names, _in_natural_order(answered.arrays, file), strict=True))
    expected = [None] * len(names)
    if reference is not None:
        expected = reference.outputs(_as_given(x, arrays), file_names, **running)
    outputs, why = _score(targets, answers, dict(zip(names, expected, strict=True)), metrics)
    main = _main_output(outputs, targets, answers)
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
        metric_choice=why,
        runtime=RuntimeInfo(chosen.name(), chosen.version(), answered.threads, answered.rows),
        versions=_versions(chosen),
        warnings=warnings,
    )


def _output_names(file):
    names = [tensor.name for tensor in output_details(file)]
    return [names[place] for place in natural_order(names)]


def _names_for(y, file_names, layers, reference):
    """Return the names of the outputs that the keys of y are taken from.

    A file often calls its outputs `output_0` and so on; users know them by the names of the
    layers, or by those of a Keras model's outputs.
    """
    if isinstance(y, Mapping):
        for names in (file_names, list(layers), reference and reference.output_order):
            if names and len(names) == len(file_names) and set(y) <= set(names):
                return names
    return file_names


def _in_natural_order(arrays, file):
    order = natural_order([tensor.name for tensor in output_details(file)])
    return [arrays[place] for place in order]


def _as_given(x, arrays):
    """Return x as arrays, in the form that a Keras model takes."""
    if isinstance(x, Mapping):
        return {name: np.asarray(array) for name, array in x.items()}
    return arrays[0] if len(arrays) == 1 else [np.asarray(array) for array in x]


def _range_warnings(arrays, inputs):
    """Say which inputs hold many values that the file's integers cannot."""
    found = []
    for array, tensor in zip(arrays, inputs, strict=True):
        if not tensor.is_quantized:
            continue
        limits = np.iinfo(tensor.dtype)
        low, high = ((q - tensor.zero_point) * tensor.scale for q in (limits.min, limits.max))
        looked_at = array[:: -(-len(array) // _LOOKED_AT)]
        slack = tensor.scale
        outside = ((looked_at < low - slack) | (looked_at > high + slack)).mean()
        if outside > _OUTSIDE:
            found.append(
                f"{outside:.1%} of the values for input {tensor.name!r} lie outside {low:.4g} to "
                f"{high:.4g}, which is all that the file's {tensor.dtype} can hold, and are cut "
                "off there. Is x scaled as it was in training?"
            )
    for sentence in found:
        python_warnings.warn(sentence, stacklevel=3)
    return tuple(found)


def _score(targets, answers, expected, metrics):
    """Return an `OutputResult` for each output, and how the metrics were chosen."""
    chosen, why = choose_metrics(metrics, targets, answers)
    results = []
    for name, answer in answers.items():
        target, reference = targets[name], expected[name]
        values, reference_values = (
            {key: score(metric, key, target, outputs) for key, metric in chosen[name].items()}
            if outputs is not None
            else {}
            for outputs in (answer, reference)
        )
        results.append(
            OutputResult(
                name=name,
                metrics=values,
                baseline_metrics=reference_values,
                label_agreement=_agreement(target, answer, reference),
                output_error=None if reference is None else output_error(reference, answer),
            )
        )
    return tuple(results), why


def _agreement(target, answer, reference):
    if reference is None or not _is_classes(target, answer):
        return None
    return float((labels.predicted(reference) == labels.predicted(answer)).mean())


def _is_classes(target, answer):
    """Tell whether an output is about classes: by its targets, else by its shape."""
    if target is not None:
        return labels.are_labels(target, answer)
    return answer.ndim > 1 and answer.shape[-1] > 1


def _main_output(outputs, targets, answers):
    classes = [o for o in outputs if _is_classes(targets[o.name], answers[o.name])]
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
