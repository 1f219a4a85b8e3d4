"""The result of an evaluation, as dataclasses and as JSON."""

import dataclasses
import html

from keras_compress.evaluation import summary
from keras_compress.evaluation.latency import Latency
from keras_compress.evaluation.output_grid import ColumnError
from keras_compress.evaluation.weight_histogram import WeightHistogram
from keras_compress.evaluation.weights import WeightTensor
from keras_compress.support.types import Json


@dataclasses.dataclass(frozen=True, kw_only=True)
class OutputResult:
    """The figures of one output.

    Args:
        name: The output's name.
        metrics: Metric name -> value of the model; empty without targets.
        baseline_metrics: Metric name -> value of the baseline; empty without one.
        label_agreement: Fraction of samples for which model and baseline predict the same
            class; `None` without a baseline and for outputs that are not classes.
        output_error: `mse`, `rmse`, `mae` and `sqnr_db` against the baseline's outputs, or
            `None` without a baseline; `sqnr_db` is `None` if the outputs are equal.
        saturated: Fraction of the baseline's values beyond the ends of the output's grid; `None`
            without a baseline or a grid.
        columns: `ColumnError` of each column of an output of quantities, which share one grid.
    """

    name: str
    metrics: dict[str, float]
    baseline_metrics: dict[str, float]
    label_agreement: float | None = None
    output_error: dict[str, float | None] | None = None
    saturated: float | None = None
    columns: tuple[ColumnError, ...] = ()

    def to_json(self) -> Json:
        """Return the fields but the name."""
        fields = dataclasses.asdict(self)
        del fields["name"]
        fields["columns"] = list(fields["columns"])
        return fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaselineResult:
    """The float baseline.

    Args:
        metrics: Metric name -> value on the main output.
        bytes: Size of its float `.tflite`, or `None` if there is none.
        kind: `"keras"` or `"tflite"`.
        histogram: Its weights' `WeightHistogram`, `None` without weights.
    """

    metrics: dict[str, float]
    bytes: int | None
    kind: str
    histogram: WeightHistogram | None = dataclasses.field(default=None, repr=False)

    @property
    def accuracy(self) -> float | None:
        """Top-1 accuracy in [0, 1], or `None` where it was no metric."""
        return self.metrics.get("accuracy")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelResult:
    """The evaluated file.

    Args:
        metrics: Metric name -> value on the main output.
        bytes: Size of the file.
        gzip_bytes: Size of the file compressed with gzip.
        sparsity: Fraction of zeros over all weights in the file, `None` without weights.
        latency_ms: `Latency` of single samples in milliseconds, `None` if not measured.
        weights: The weight tensors in the file.
        histogram: The weights' `WeightHistogram`, `None` without weights.
        arena: Bytes of TFLite Micro's arena (`total_bytes`, `head_bytes`, `tail_bytes`), `None`
            in other runtimes. A 64-bit host inflates the tail; kernels that are optimized for
            a device may need more head.
    """

    metrics: dict[str, float]
    bytes: int
    gzip_bytes: int
    sparsity: float | None
    latency_ms: Latency | None
    weights: tuple[WeightTensor, ...] = dataclasses.field(default=(), repr=False)
    histogram: WeightHistogram | None = dataclasses.field(default=None, repr=False)
    arena: dict[str, int] | None = None

    @property
    def accuracy(self) -> float | None:
        """Top-1 accuracy in [0, 1], or `None` where it was no metric."""
        return self.metrics.get("accuracy")


@dataclasses.dataclass(frozen=True)
class RuntimeInfo:
    """The runtime that ran the file.

    Args:
        name: The runtime's name.
        version: Its version.
        threads: Number of invocations that ran at the same time.
        batch_size: Samples per invocation.
    """

    name: str
    version: str
    threads: int
    batch_size: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """The result of `kc.evaluate`.

    The figures of models with several outputs are in `outputs`; `model`, `baseline`,
    `label_agreement` and `output_error` are those of the main output: the first whose targets
    are classes, else the first.

    Args:
        samples: Size of the evaluation set.
        model: The file's figures.
        baseline: The baseline's figures, `None` without one.
        outputs: Figures of each output.
        main_output: Name of the output that the summary is about.
        metric_choice: Which metrics were used, and why.
        runtime: The runtime that ran the file.
        versions: Package name -> version.
        warnings: Warnings about the data, in sentences.
    """

    samples: int
    model: ModelResult
    baseline: BaselineResult | None
    outputs: tuple[OutputResult, ...]
    main_output: str
    metric_choice: str
    runtime: RuntimeInfo
    versions: dict[str, str]
    warnings: tuple[str, ...] = ()

    @property
    def label_agreement(self) -> float | None:
        """Fraction of samples with the baseline's label, `None` if there are no labels."""
        return self._main.label_agreement

    @property
    def output_error(self):
        """Dict with `mse`, `rmse`, `mae` and `sqnr_db`, or `None` without a baseline."""
        return self._main.output_error

    @property
    def saturated(self) -> float | None:
        """Fraction of the baseline's output values beyond the ends of the file's grid."""
        return self._main.saturated

    @property
    def _main(self):
        return next(output for output in self.outputs if output.name == self.main_output)

    def to_json(self) -> Json:
        """Return the result as a dictionary that `json.dumps` takes.

        Returns:
            Dict with `samples`, `baseline` (`accuracy`, `bytes`), `model` (`accuracy`, `bytes`,
            `gzip_bytes`, `sparsity`, `latency_ms`), `label_agreement`, `output_error` and more.
            Figures that were not measured are `None`.
        """
        return {
            "samples": self.samples,
            "baseline": self._baseline_json(),
            "model": self._model_json(),
            "label_agreement": self.label_agreement,
            "output_error": self.output_error or dict.fromkeys(("mse", "rmse", "mae", "sqnr_db")),
            "saturated": self.saturated,
            "main_output": self.main_output,
            "metric_choice": self.metric_choice,
            "outputs": {output.name: output.to_json() for output in self.outputs},
            "runtime": dataclasses.asdict(self.runtime),
            "versions": self.versions,
            "warnings": list(self.warnings),
        }

    def _baseline_json(self):
        baseline = self.baseline
        if baseline is None:
            return {"accuracy": None, "bytes": None, "metrics": {}, "kind": None}
        return {
            "accuracy": baseline.accuracy,
            "bytes": baseline.bytes,
            "metrics": baseline.metrics,
            "kind": baseline.kind,
        }

    def _model_json(self):
        model = self.model
        timing = model.latency_ms
        return {
            "accuracy": model.accuracy,
            "bytes": model.bytes,
            "gzip_bytes": model.gzip_bytes,
            "sparsity": model.sparsity,
            "latency_ms": timing.to_json() if timing else {"p50": None, "p95": None},
            "metrics": model.metrics,
            "arena": model.arena,
            "weights": [tensor.to_json() for tensor in model.weights],
        }

    def __str__(self):
        return summary.text(self)

    def _repr_html_(self):
        return f'<pre style="white-space: pre-wrap">{html.escape(str(self))}</pre>'
