"""How many bits each layer's weights need under a budget: `kc.assign_bits`."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from keras_compress.analysis.intermediate_outputs import ObservableModel
from keras_compress.analysis.samples import batches_of
from keras_compress.analysis.sensitivity import output_mse
from keras_compress.compression.apply import strip
from keras_compress.data.types import Samples
from keras_compress.errors import InvalidArgumentError
from keras_compress.graph.graph import all_layers, trace
from keras_compress.quantization.quantizers.base import WeightQuantizer
from keras_compress.quantization.settings import FLOAT_BITS
from keras_compress.spec import Quantization
from keras_compress.support.tables import text_table
from keras_compress.support.types import Json
from keras_compress.wrappers.compressed_layer import CompressedLayer


@dataclasses.dataclass(frozen=True, kw_only=True)
class BitAssignment(Mapping):
    """A width for each layer; a mapping that `kc.Quantization(weight_bits=...)` takes.

    Args:
        bits: Layer -> width of its weights.
        bytes: Bytes of all weights, packed, without scales.
        mac_bits: Sum over all layers of multiplications times width.
        predicted_mse: Sum of the errors that each layer makes alone.
        sensitivity: Layer -> width -> mean squared error of the outputs with this layer alone at
            this width.
    """

    bits: dict[str, int]
    bytes: int
    mac_bits: int
    predicted_mse: float
    sensitivity: dict[str, dict[int, float]] = dataclasses.field(repr=False)

    def __getitem__(self, layer):
        return self.bits[layer]

    def __iter__(self):
        return iter(self.bits)

    def __len__(self):
        return len(self.bits)

    def to_json(self) -> Json:
        """Return the fields as a dictionary that `json.dumps` takes."""
        return dataclasses.asdict(self)

    def __str__(self):
        table = text_table(
            [
                (layer, f"{bits} bits", f"MSE alone {self.sensitivity[layer][bits]:.3g}")
                for layer, bits in self.bits.items()
            ],
            alignment="<",
        )
        total = f"{self.bytes:,} bytes of weights, {self.mac_bits:,} MAC bits in all"
        return "\n".join([*table.splitlines(), total])


def assign_bits(
    model: keras.Model,
    data: Samples,
    *,
    budget_bytes: float | None = None,
    budget_mac_bits: float | None = None,
    widths: Sequence[int] = (8, 4),
    weight_quantizer: str | WeightQuantizer = "abs_max",
    samples: int = 64,
) -> BitAssignment:
    """Choose the width of each layer's weights so that the outputs change least within a budget.

    The error of each layer alone at each width is measured on the data. The errors of layers are
    assumed to add up, which makes the choice an integer program:

        minimize sum(e[l, b] x[l, b])  with  sum_b(x[l, b]) = 1,  sum(cost[l, b] x[l, b]) <= budget

    Args:
        model: A built Sequential or functional `keras.Model`.
        data: Samples, in any form of docs/data.md.
        budget_bytes: Limit of the bytes of all weights, packed, without scales and biases.
        budget_mac_bits: Limit of the sum of multiplications times width.
        widths: Widths to choose from, 2 to 8. Default 8 and 4, which files hold packed.
        weight_quantizer: Name or instance of a weight quantizer.
        samples: Number of samples to use at most.

    Returns:
        A `BitAssignment`, a mapping from layer name to width.

    Raises:
        InvalidArgumentError: No budget, one that nothing fits (the message says what would), or
            widths that no quantizer has.

    Example:
        >>> bits = kc.assign_bits(model, x[:64], budget_bytes=60_000)  # doctest: +SKIP
        >>> kc.Quantization(profile="android_cpu", weight_bits=bits)  # doctest: +SKIP

    Source: Cai et al., "ZeroQ: A Novel Zero Shot Quantization Framework", 2020, section 3.3, for
    sensitivities that add up; solved exactly here (SciPy's `milp`).
    """
    if budget_bytes is None and budget_mac_bits is None:
        raise InvalidArgumentError(
            "Pass budget_bytes=, budget_mac_bits=, or both. Received: neither"
        )
    widths = tuple(sorted(set(widths), reverse=True))
    plain = (
        strip(model) if any(isinstance(x, CompressedLayer) for x in all_layers(model)) else model
    )
    batches = batches_of(plain, data, samples)
    sizes, macs = _costs(plain)
    errors = _sensitivities(plain, batches, widths, weight_quantizer, tuple(sizes))
    budgets = [
        (name, {layer: {b: cost(layer, b) for b in widths} for layer in sizes}, limit)
        for name, cost, limit in (
            ("budget_bytes", lambda layer, b: math.ceil(sizes[layer] * b / 8), budget_bytes),
            ("budget_mac_bits", lambda layer, b: macs[layer] * b, budget_mac_bits),
        )
    ]
    chosen = solve(errors, [budget for budget in budgets if budget[2] is not None])
    return BitAssignment(
        bits=chosen,
        bytes=sum(budgets[0][1][layer][b] for layer, b in chosen.items()),
        mac_bits=sum(budgets[1][1][layer][b] for layer, b in chosen.items()),
        predicted_mse=sum(errors[layer][b] for layer, b in chosen.items()),
        sensitivity=errors,
    )


def solve(errors, budgets):
    """Choose a width for each layer by integer programming.

    Args:
        errors: Layer -> width -> error.
        budgets: Tuples (name, layer -> width -> cost, limit).

    Returns:
        Dict from layer to width.

    Raises:
        InvalidArgumentError: Nothing fits the budgets.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    for name, costs, limit in budgets:
        least = sum(min(widths.values()) for widths in costs.values())
        if limit < least:
            raise InvalidArgumentError(
                f"No choice of widths fits {name}={limit:,}: the smallest possible is {least:,}. "
                "Allow narrower widths, as widths=(8, 4, 2), or a larger budget."
            )
    choices = [(layer, width) for layer, widths in errors.items() for width in widths]
    one_each = [[float(layer == name) for layer, _ in choices] for name in errors]
    constraints = [LinearConstraint(one_each, 1, 1)]
    for _, costs, limit in budgets:
        row = [[costs[layer][width] / limit for layer, width in choices]]
        constraints.append(LinearConstraint(row, -np.inf, 1))
    values = np.array([errors[layer][width] for layer, width in choices])
    # The solver's tolerances are absolute, and errors may be tiny.
    values = values / max(values.max(), np.finfo(float).tiny)
    solution = milp(
        values,
        integrality=np.ones(len(choices)),
        bounds=Bounds(0, 1),
        constraints=constraints,
        options={"mip_rel_gap": 0.0},
    )
    if solution.x is None:
        raise InvalidArgumentError(
            "No choice of widths fits both budgets at once. Received: "
            f"{', '.join(f'{name}={limit:,}' for name, _, limit in budgets)}"
        )
    return {layer: width for (layer, width), x in zip(choices, solution.x, strict=True) if x > 0.5}


def _compressed(model, bits, quantizer):
    return ObservableModel.of(
        model,
        Quantization(weight_bits=bits, activation_bits=FLOAT_BITS, weight_quantizer=quantizer),
    )


def _costs(model):
    """Return the number of weights and of multiplications of each layer."""
    sizes: dict[str, int] = {}
    macs: dict[str, int] = {}
    for call in trace(_compressed(model, 8, "abs_max").model).calls:
        if not isinstance(call.operation, CompressedLayer):
            continue
        wrapper, shapes = call.operation, (call.inputs[0].shape, call.output.shape)
        sizes[wrapper.name] = sum(math.prod(wrapper.variable(k).shape) for k in wrapper.kernels)
        of_call = wrapper.layer_type.macs(wrapper.layer, *shapes)
        macs[wrapper.name] = macs.get(wrapper.name, 0) + of_call
    return sizes, macs


def _sensitivities(model, batches, widths, quantizer, layers):
    errors: dict[str, dict[int, float]] = {layer: {} for layer in layers}
    for bits in widths:
        observable = _compressed(model, bits, quantizer)
        observable.set_phases(())
        reference = [observable.outputs(batch) for batch in batches]
        for wrapper in observable.kernels:
            observable.set_phases((wrapper,))
            outputs = [observable.outputs(batch) for batch in batches]
            errors[wrapper.name][bits] = output_mse(reference, outputs)
    return errors
