"""The result of an analysis, as dataclasses and as JSON."""

import dataclasses
import html
import json
import os

from keras_compress.analysis import model_explorer, plots, table
from keras_compress.analysis.quantized_form import QuantizedForm
from keras_compress.support.files import write_atomically


@dataclasses.dataclass(frozen=True, kw_only=True)
class TensorError:
    """The error of one tensor against the float model.

    Args:
        layer: The layer that makes it, or the name of the input.
        source: What was compared, a `QuantizedForm`.
        kind: `"activation"` or `"weights"`.
        mse: Mean squared error.
        rmse: Its root.
        mae: Mean absolute error.
        sqnr_db: Signal-to-quantization-noise ratio; `None` where it is exact.
        cosine: Cosine similarity; `None` where one side is zero.
        range: (minimum, maximum) of the grid; `None` for float tensors and per-channel weights.
        observed: (minimum, maximum) of the float values.
        saturated: Fraction of the float values outside the range, `None` without one.
        bits: Width of the stored integers, 16 or 32 for float.
        scales: Number of scales.
    """

    layer: str
    source: QuantizedForm
    kind: str
    mse: float
    rmse: float
    mae: float
    sqnr_db: float | None
    cosine: float | None
    range: tuple[float, float] | None = None
    observed: tuple[float, float] | None = None
    saturated: float | None = None
    bits: int | None = None
    scales: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerSensitivity:
    """What rounding in one layer does to the outputs of the Keras model.

    Args:
        layer: Name of the layer; its kernel and its output are rounded together.
        alone_mse: Mean squared error of the outputs with only this layer rounded.
        without_mse: The same with every layer but this one rounded.
        gain: Fraction of the whole error that disappears with this layer in float.
    """

    layer: str
    alone_mse: float
    without_mse: float
    gain: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class IntegerDifference:
    """How far the integers of one tensor of the file are from those of the trained model.

    Args:
        layer: The layer that makes it, or the name of the input.
        operator: The TFLite operator that makes it, or `"input"`.
        differing: Fraction of its integers that differ.
        more_than_one_step: Fraction that differ by more than one step of the grid.
        largest_steps: The largest difference, in steps.
        introduced: Fraction that differ although the tensors before are made equal: what this
            operator itself adds.
    """

    layer: str
    operator: str
    differing: float
    more_than_one_step: float
    largest_steps: int
    introduced: float

    def __str__(self):
        return (
            f"{self.layer!r} ({self.operator}): {self.differing:.2%} of the integers differ, by at "
            f"most {self.largest_steps} step{'s' * (self.largest_steps != 1)}"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cause:
    """A likely cause of error.

    Args:
        code: What it is: `"calibration_mismatch"`, `"outlier_channel"`, `"per_tensor_weights"`,
            `"saturation"`, `"long_tail"`, `"narrow_weights"`.
        layer: Where it is.
        bits_lost: How many bits of resolution it costs the typical value there.
        message: One sentence with the figures.
        remedy: What to try.
        source: The `QuantizedForm` that shows it.
    """

    code: str
    layer: str
    bits_lost: float
    message: str
    remedy: str
    source: QuantizedForm = QuantizedForm.FILE

    def __str__(self):
        return f"{self.message} Try: {self.remedy}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Analysis:
    """The result of `kc.analyze`.

    Args:
        samples: How many samples were run.
        kernels: Which kernels of LiteRT ran the file; `None` without a file.
        output_mse: Form -> mean squared error of the outputs.
        rows: The error of each tensor, in the order of the data.
        sensitivity: What each layer does to the outputs, the worst first.
        causes: Likely causes, the worst first.
        integers: `IntegerDifference` of each tensor that has the same grid in the trained model and
            in the file, in the order of the data; empty without a file and its compressed model.
        node_ids: Row's layer -> tensor names in the file, for Model Explorer.
    """

    samples: int
    kernels: str | None
    output_mse: dict[str, float]
    rows: tuple[TensorError, ...]
    sensitivity: tuple[LayerSensitivity, ...]
    causes: tuple[Cause, ...]
    integers: tuple[IntegerDifference, ...] = ()
    node_ids: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def first_difference(self) -> IntegerDifference | None:
        """The first tensor whose integers differ between the trained model and the file."""
        return next((each for each in self.integers if each.differing), None)

    def of(self, source, kind="activation"):
        """Return the rows of a source, by layer.

        Args:
            source: A `QuantizedForm`.
            kind: `"activation"` or `"weights"`.
        """
        return {r.layer: r for r in self.rows if r.source == source and r.kind == kind}

    def to_json(self):
        """Return the result as a dictionary that `json.dumps` takes."""
        fields = dataclasses.asdict(self)
        del fields["node_ids"]
        return fields

    def save_model_explorer(self, path):
        """Write the errors as node data for Google's Model Explorer, which shows them on the graph.

        Open the `.tflite` there, then load this file.

        Args:
            path: A path that ends in `.json`.

        Returns:
            The path as a `pathlib.Path`.
        """
        content = json.dumps(model_explorer.node_data(self), indent=1)
        return write_atomically(os.fspath(path), content.encode())

    def __str__(self):
        return table.text(self)

    def _repr_html_(self):
        drawn = [svg for svg in (plots.layer_errors(self), plots.sensitivity(self)) if svg]
        # Lines that are sentences wrap; plots keep their width.
        text = f'<pre style="white-space: pre-wrap">{html.escape(str(self))}</pre>'
        return f"{text}<div style='max-width: 560px'>{''.join(drawn)}</div>"
