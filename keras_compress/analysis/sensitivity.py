"""What rounding in each layer does to the outputs: one layer rounded, and one left in float."""

import numpy as np

from keras_compress.analysis.result import LayerSensitivity
from keras_compress.wrappers.phase import PhasedLayer


def measure(tapped, batches):
    """Measure the sensitivity of each layer of a simulated model.

    Args:
        tapped: A `TappedModel`, calibrated.
        batches: List of batches, each a list with one array for each input.

    Returns:
        Tuple of `LayerSensitivity`, the largest error alone first.
    """
    groups = layer_groups(tapped)
    tapped.set_phases(())
    reference = [tapped.outputs(batch) for batch in batches]
    everything = [layer for layers in groups.values() for layer in layers]

    def error(layers):
        tapped.set_phases(layers)
        outputs = [tapped.outputs(batch) for batch in batches]
        return output_mse(reference, outputs)

    whole = error(everything)
    found = []
    for name, layers in groups.items():
        without = error([layer for layer in everything if layer not in layers])
        found.append(
            LayerSensitivity(
                layer=name,
                alone_mse=error(layers),
                without_mse=without,
                gain=1 - without / whole if whole else 0.0,
            )
        )
    tapped.set_phases(None)
    return tuple(sorted(found, key=lambda entry: -entry.alone_mse))


def layer_groups(tapped):
    """Put each kernel with the range behind it, and each other range by itself.

    Args:
        tapped: A `TappedModel`.

    Returns:
        Dict from layer name to its phased layers.
    """
    groups: dict[str, list[PhasedLayer]] = {kernel.name: [kernel] for kernel in tapped.kernels}
    for tap in tapped.taps:
        groups.setdefault(tap.layer, []).append(tap.quantizer)
    return groups


def output_mse(reference, outputs):
    """Return the mean squared error over all outputs of all batches.

    Args:
        reference: List of batches, each a list of arrays.
        outputs: The same of the quantized model.
    """
    errors = [
        np.square(np.float64(r) - o).ravel()
        for wanted, found in zip(reference, outputs, strict=True)
        for r, o in zip(wanted, found, strict=True)
    ]
    return float(np.concatenate(errors).mean())
