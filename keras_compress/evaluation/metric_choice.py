"""Choose the metrics of an output: those that the user passed, or by its targets."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from keras_compress.errors import InvalidArgumentError
from keras_compress.evaluation import labels
from keras_compress.evaluation.metrics.accuracy import Accuracy
from keras_compress.evaluation.metrics.base import Metric
from keras_compress.evaluation.metrics.mse import MSE
from keras_compress.support import plugins

_PACKAGE = "keras_compress.evaluation.metrics"
# A name, or f(y_true, y_pred) -> float, as a `Metric` is.
Scorer: TypeAlias = str | Callable[[np.ndarray, np.ndarray], float]
Scorers: TypeAlias = Scorer | Sequence[Scorer] | Mapping[str, Scorer]
# For each output the same, or a dict from the output's name to its own.
Metrics: TypeAlias = Scorers | Mapping[str, Scorers]


def choose_metrics(
    metrics: Metrics | None,
    targets: Mapping[str, np.ndarray | None],
    predictions: Mapping[str, np.ndarray],
) -> tuple[dict[str, dict[str, Callable]], str]:
    """Choose the metrics of each output.

    Args:
        metrics: `None` to choose by the targets: accuracy for labels, the mean squared error
            for quantities. Otherwise a name, a `Metric`, any callable f(y_true, y_pred) -> float,
            a list of these, or a dict from a name of your choice to one of them. With several
            outputs also a dict from output name to any of those forms.
        targets: Output name -> array, or `None` if there are none.
        predictions: Output name -> array (samples, ...).

    Returns:
        Pair of a dict from output name to a dict from metric name to callable (empty if an
        output has no targets), and a sentence that says how they were chosen.

    Raises:
        UnknownNameError: No metric has that name.
        InvalidArgumentError: A metric is neither a name nor a callable, or there are no targets.
    """
    scored = [name for name, target in targets.items() if target is not None]
    if metrics is None:
        return _by_targets(targets, predictions)
    if not scored:
        raise InvalidArgumentError(
            f"metrics need targets to compare with: pass y. Received: metrics={metrics!r}, y=None"
        )
    if isinstance(metrics, Mapping) and metrics and set(metrics) <= set(targets):
        requested = {name: _named(metrics.get(name, ())) for name in targets}
    else:
        requested = dict.fromkeys(targets, _named(metrics))
    chosen = {name: requested[name] if name in scored else {} for name in targets}
    return chosen, "The metrics are those that were asked for."


def score(metric, name, y_true, y_pred):
    """Return a metric's value as a float.

    Args:
        metric: Any callable f(y_true, y_pred).
        name: Its name, for error messages.
        y_true: Targets.
        y_pred: Outputs as real values.

    Returns:
        A finite float.

    Raises:
        InvalidArgumentError: The metric does not return a finite number.
    """
    value = metric(y_true, y_pred)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InvalidArgumentError(
            f"A metric must return a finite number. Received: {value!r} from {name!r}."
        )
    return number


def _by_targets(targets, predictions):
    chosen: dict[str, dict[str, Callable]] = {}
    reasons = []
    for name, target in targets.items():
        if target is None:
            chosen[name] = {}
            reasons.append("there are no targets, so nothing was scored")
        elif labels.are_labels(target, predictions[name]):
            chosen[name] = _named(Accuracy())
            reasons.append("the targets are labels, so the metric is accuracy")
        else:
            chosen[name] = _named(MSE())
            reasons.append("the targets are quantities, so the metric is the mean squared error")
    if len(reasons) > 1:
        reasons = [f"output {name!r}: {why}" for name, why in zip(targets, reasons, strict=True)]
    sentence = "; ".join(reasons)
    return chosen, f"{sentence[0].upper()}{sentence[1:]}."


def _named(metrics):
    if isinstance(metrics, Mapping):
        return {str(name): _resolve(metric) for name, metric in metrics.items()}
    if not isinstance(metrics, list | tuple):
        metrics = [metrics]
    resolved = [_resolve(metric) for metric in metrics]
    return {_name(metric): metric for metric in resolved}


def _resolve(metric):
    if callable(metric) and not isinstance(metric, Metric | type):
        return metric
    return plugins.resolve(_PACKAGE, metric, Metric)


def _name(metric):
    name = getattr(metric, "name", None) or getattr(metric, "__name__", None)
    return name if isinstance(name, str) else type(metric).__name__
