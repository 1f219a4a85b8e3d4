"""How sensitive each layer is to zeros and to few bits: cheap probes without training."""

import dataclasses

import keras
import numpy as np

from keras_compress.analysis.bit_assignment import assign_bits, solve
from keras_compress.analysis.sensitivity import output_mse
from keras_compress.callbacks.pruning_targets import CompressedTargets
from keras_compress.callbacks.training_step import compressed_layers
from keras_compress.compression.apply import compress
from keras_compress.pruning.masks import compute_masks
from keras_compress.quantization.settings import FLOAT_BITS
from keras_compress.spec import Pruning, Quantization

LEVELS = (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probes:
    """What one layer alone does to the outputs.

    Args:
        sizes: Layer -> number of its weights, for the layers that can be pruned.
        sparsity: Layer -> share of zeros -> mean squared error of the outputs.
        bits: Layer -> width of weights -> mean squared error of the outputs.
        kernel_sizes: Layer -> number of its weights, for the layers that can be quantized.
    """

    sizes: dict[str, int]
    sparsity: dict[str, dict[float, float]]
    bits: dict[str, dict[int, float]]
    kernel_sizes: dict[str, int]

    def sparsities(self, share):
        """Spread zeros over the layers so that the outputs change least.

        Args:
            share: Zeros among all prunable weights, in [0, 1).

        Returns:
            Dict from layer to share, at least `share` of all weights together.
        """
        total = sum(self.sizes.values())
        share = min(share, max(LEVELS))
        costs = {name: {s: n * (1 - s) for s in LEVELS} for name, n in self.sizes.items()}
        # Levels are a grid: a small slack lets the sum round to what was asked for.
        limit = total * (1 - share) * (1 + 1e-6) + 1
        return solve(self.sparsity, [("weights", costs, limit)])

    def widths(self, share, narrow=4, wide=8):
        """Give few bits to the layers that lose least by them.

        Args:
            share: Share of all weights that may have `narrow` bits, in [0, 1].
            narrow: The few bits.
            wide: The width of the others.

        Returns:
            Dict from layer to `narrow`, for those that get it.
        """
        total = sum(self.kernel_sizes.values())
        costs = {name: {narrow: 0.0, wide: n} for name, n in self.kernel_sizes.items()}
        limit = total * (1 - share) + 1
        errors = {name: {w: of[w] for w in (narrow, wide)} for name, of in self.bits.items()}
        chosen = solve(errors, [("weights", costs, limit)])
        return {name: width for name, width in chosen.items() if width == narrow}

    def to_json(self):
        """Return the fields as a dictionary that `json.dumps` takes."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, fields):
        """Return what `to_json` described; JSON turns numbers into text where they are keys."""
        tables = {
            name: {
                layer: {kind(key): error for key, error in errors.items()}
                for layer, errors in fields[name].items()
            }
            for name, kind in (("sparsity", float), ("bits", int))
        }
        return cls(**{**fields, **tables})


def probe(model, x, widths=(8, 4), zeros=True):
    """Measure each layer alone, pruned and with few bits.

    Args:
        model: A built Sequential or functional `keras.Model`.
        x: Samples, an array or a dict of arrays; some hundred are enough.
        widths: Widths of weights that the target takes.
        zeros: Whether zeros are probed.

    Returns:
        `Probes`.
    """
    widths = tuple(sorted({8, *widths}, reverse=True))
    assignment = assign_bits(model, x, budget_bytes=10**15, widths=widths)
    sizes, sparsity = _errors_of_zeros(model, x) if zeros else ({}, {})
    return Probes(
        sizes=sizes,
        sparsity=sparsity,
        bits=assignment.sensitivity,
        kernel_sizes=_kernel_sizes(model),
    )


def _errors_of_zeros(model, x):
    """Return layer -> number of weights, and layer -> share of zeros -> error."""
    compressed = compress(model, pruning=Pruning())
    targets = CompressedTargets(compressed).targets
    reference = _outputs(compressed, x)
    sizes: dict[str, int] = {}
    errors: dict[str, dict[float, float]] = {}
    for target in targets:
        name, items = target.kernel.layer_name, [target.prunable_weights()]
        sizes[name] = sizes.get(name, 0) + target.counts()[1]
        dense = compute_masks(items, 0.0)[0]
        for share in LEVELS:
            target.set_mask(compute_masks(items, share)[0])
            error = output_mse([reference], [_outputs(compressed, x)]) if share else 0.0
            errors.setdefault(name, {}).setdefault(share, 0.0)
            errors[name][share] += error
        target.set_mask(dense)
    return sizes, errors


def _outputs(model, x):
    outputs = model.predict_on_batch(x)
    return [np.asarray(output) for output in keras.tree.flatten(outputs)]


def _kernel_sizes(model):
    # As `assign_bits` does: an LSTM has 8 bits, whatever is chosen.
    compressed = compress(model, quantization=Quantization(activation_bits=FLOAT_BITS))
    return {
        layer.name: sum(int(np.prod(layer.variable(k).shape)) for k in layer.kernels)
        for layer in compressed_layers(compressed)
    }
