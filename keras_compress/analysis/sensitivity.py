"""What rounding in each layer does to the outputs: one layer rounded, and one left in float."""

import numpy as np

from keras_compress.analysis.result import LayerSensitivity
from keras_compress.wrappers.phase import PhasedLayer


def measure(observable, batches):
    """Measure the sensitivity of each layer of a simulated model.

    Args:
        observable: A `ObservableModel`, calibrated.
        batches: List of batches, each a list with one array for each input.

    Returns:
        Tuple of `LayerSensitivity`, the largest error alone first.
    """
    groups = layer_groups(observable)
    observable.set_phases(())
    reference = [observable.outputs(batch) for batch in batches]
    everything = [layer for layers in groups.values() for layer in layers]

    def error(layers):
        observable.set_phases(layers)
        outputs = [observable.outputs(batch) for batch in batches]
        return output_mse(reference, outputs)

    whole = error(everything)
    sensitivities = []
    for name, layers in groups.items():
        without = error([layer for layer in everything if layer not in layers])
        sensitivities.append(
            LayerSensitivity(
                layer=name,
                alone_mse=error(layers),
                without_mse=without,
                gain=1 - without / whole if whole else 0.0,
            )
        )
    observable.set_phases(None)
    return tuple(sorted(sensitivities, key=lambda entry: -entry.alone_mse))


def layer_groups(observable):
    """Put each kernel with the range behind it, and each other range by itself.

    Args:
        observable: A `ObservableModel`.

    Returns:
        Dict from layer name to its phased layers.
    """
    groups: dict[str, list[PhasedLayer]] = {kernel.name: [kernel] for kernel in observable.kernels}
    for output in observable.intermediate_outputs:
        groups.setdefault(output.layer, []).append(output.quantizer)
    return groups


def output_mse(reference, outputs):
    """Return the mean squared error over all outputs of all batches.

    Args:
        reference: List of batches, each a list of arrays.
        outputs: The same of the quantized model.
    """
    errors = [
        np.square(np.float64(r) - o).ravel()
        for floats, quantized in zip(reference, outputs, strict=True)
        for r, o in zip(floats, quantized, strict=True)
    ]
    return float(np.concatenate(errors).mean())
