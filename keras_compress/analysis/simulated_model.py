"""The fake-quantized Keras model as evidence."""

import numpy as np

from keras_compress.analysis.evidence import ActivationEvidence, Evidence, WeightEvidence
from keras_compress.analysis.quantized_form import QuantizedForm
from keras_compress.converters.deployed_kernel import deployed_kernel


class SimulatedModel:
    """A compressed model whose tensors are compared with the float ones.

    Args:
        tapped: A calibrated `TappedModel`.
        taps: The `Tap`s of the float model, of which it may have fewer.
        observed: `Observed` of each of these.
    """

    def __init__(self, tapped, taps, observed):
        self.tapped = tapped
        places = {tap.name: place for place, tap in enumerate(taps)}
        self._places = [places[tap.name] for tap in tapped.taps]
        self.activations = [
            ActivationEvidence(
                layer=tap.layer,
                observed=observed[place],
                range=tap.quantizer.range,
                bits=tap.quantizer.bits,
                is_input=tap.is_input,
                is_fixed=tap.quantizer.fixed_range is not None,
            )
            for tap, place in zip(tapped.taps, self._places, strict=True)
        ]

    def add(self, batch, reference):
        """Take one more batch into account.

        Args:
            batch: One array for each input.
            reference: The float value of each tap.
        """
        self.tapped.set_phases(None)
        values = self.tapped.values(batch)
        for evidence, place, found in zip(self.activations, self._places, values, strict=True):
            evidence.add(reference[place], found)

    def evidence(self, kernels):
        """Return the `Evidence`.

        Args:
            kernels: What `float_kernels` returned for the float model.
        """
        self.tapped.set_phases(None)
        weights = []
        for wrapper in self.tapped.kernels:
            for kernel in wrapper.kernels:
                settings, scale = wrapper.quantization, np.asarray(wrapper.scale(kernel))
                weights.append(
                    WeightEvidence(
                        layer=wrapper.name,
                        weights=kernels[wrapper.name, kernel.attribute],
                        stored=kernel.to_deployed(deployed_kernel(wrapper, kernel)),
                        axis=kernel.deployed_channel_axis,
                        scales=scale.size,
                        bits=settings.bits,
                        is_depthwise="depthwise" in type(wrapper.layer).__name__.lower(),
                    )
                )
        return Evidence(
            source=QuantizedForm.SIMULATED,
            activations=tuple(self.activations),
            weights=tuple(weights),
        )


def float_kernels(tapped):
    """Return the float kernels, folded and in the file's layout.

    Args:
        tapped: A `TappedModel`.

    Returns:
        Dict from (layer, attribute) to array.
    """
    tapped.set_phases(())
    return {
        (wrapper.name, kernel.attribute): kernel.to_deployed(deployed_kernel(wrapper, kernel))
        for wrapper in tapped.kernels
        for kernel in wrapper.kernels
    }
