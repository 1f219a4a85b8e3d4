"""What a trial is judged by, measured on its own file."""

import dataclasses

import numpy as np

from keras_compress.edge_profiles import profile as edge_profile
from keras_compress.edge_profiles.verdict import check
from keras_compress.errors import CompressionError, InvalidArgumentError
from keras_compress.evaluation.comparison import evaluate
from keras_compress.evaluation.runtimes import choose
from keras_compress.exporting.micro.compressed_weights import compress_weights
from keras_compress.reporting.target_figures import target_figures


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objectives:
    """The figures of one file.

    Args:
        accuracy: Value of the metric on the validation data, more is better.
        flash_bytes: Bytes in flash.
        sram_bytes: Bytes of working memory.
        latency_ms: Time of one inference, `None` where nothing here can tell it.
        macs: Multiply-accumulates of one inference.
        verdict: That of `kc.check`.
        sources: Figure -> where it comes from.
    """

    accuracy: float
    flash_bytes: int
    sram_bytes: int | None
    latency_ms: float | None
    macs: int
    verdict: str
    sources: dict[str, str] = dataclasses.field(default_factory=dict)

    def to_json(self):
        """Return the fields as a dictionary that `json.dumps` takes."""
        return dataclasses.asdict(self)

    @property
    def inference_cost(self) -> float:
        """The time of an inference, or the MACs where no time is known."""
        return float(self.macs if self.latency_ms is None else self.latency_ms)


def device_file(converted, recipe):
    """Return the bytes that go onto the target.

    For TFLite Micro, files with zeros or clusters are stored compressed and without names.

    Args:
        converted: A `ConvertedModel`.
        recipe: The `Recipe` that it was made by.
    """
    target = edge_profile.get(recipe.profile)
    compressible = recipe.prunes or recipe.clusters is not None
    if not compressible or not target.runs_in_tflite_micro or not has_runtime("tflite_micro"):
        return converted.content
    return compress_weights(converted, strip=True).content


def measure(file, profile, x, y, metric=None, dense=None):
    """Measure a file: run it on the data, check it, ask TFLite Micro, Vela or LiteRT.

    Args:
        file: Bytes of a `.tflite`.
        profile: Name, path or `Profile` of the target.
        x: Inputs.
        y: Targets.
        metric: As `metrics` of `kc.evaluate`; more must be better.
        dense: The same model with its weights not compressed, to be evaluated in place of
            `file`: LiteRT runs it many times faster than TFLite Micro does on a PC.

    Returns:
        `Objectives`.
    """
    target = edge_profile.get(profile)
    runs = 50 if target.runs_in_litert else 0
    evaluated = dense or file
    result = evaluate(evaluated, x, y, metrics=metric, latency_runs=runs, progress=False)
    figures, verdict = target_figures(file, target, result), check(file, target)
    name, value = main_metric(result)
    costs = {key: getattr(figures, key) for key in ("flash_bytes", "sram_bytes", "latency_ms")}
    runtime = f"{result.runtime.name} {result.runtime.version}"
    remark = " with the weights not compressed" if evaluated != file else ""
    return Objectives(
        accuracy=value,
        **{key: figure.value for key, figure in costs.items()},
        macs=verdict.macs,
        verdict=verdict.verdict,
        sources={
            "accuracy": f"{name} of {result.samples:,} samples in {runtime}{remark}",
            **{key: figure.source for key, figure in costs.items()},
            "macs": "counted in the file",
        },
    )


def keras_metric(model, x, y, metric=None):
    """Return the metric of a Keras model.

    Args:
        model: A built `keras.Model`.
        x: Samples.
        y: Labels: numbers, or one row each.
        metric: Function f(y_true, y_pred) -> float, or `None` for the accuracy.
    """
    outputs = model.predict(x, batch_size=250, verbose=0)
    if callable(metric):
        return float(metric(y, outputs))
    labels = np.argmax(y, -1) if np.ndim(y) > 1 and np.shape(y)[-1] > 1 else np.ravel(y)
    return float((np.argmax(outputs, -1) == labels).mean())


def main_metric(result):
    """Return the (name, value) of the metric that a search maximizes.

    Args:
        result: An `EvaluationResult`.

    Raises:
        InvalidArgumentError: No metric of which more is better.
    """
    for name, value in result.model.metrics.items():
        if name not in ("mse", "rmse", "mae"):
            return name, float(value)
    raise InvalidArgumentError(
        "A search needs a metric of which more is better. Pass class labels as y, or a function "
        "metric(y_true, y_pred) -> float. Received: "
        f"{', '.join(result.model.metrics) or 'no metric: validation without y'}"
    )


def has_runtime(name):
    """Tell whether a runtime is installed."""
    try:
        return choose(name) is not None
    except CompressionError:
        return False
