"""The fake-quantized Keras model as statistics."""

import keras

from keras_compress.analysis.layer_statistics import (
    ActivationStatistics,
    LayerStatistics,
    WeightStatistics,
)
from keras_compress.analysis.quantized_form import QuantizedForm
from keras_compress.converters.promises import deployed_kernel


class SimulatedModel:
    """A compressed model whose tensors are compared with the float ones.

    Args:
        observable: A calibrated `ObservableModel`.
        outputs: The `IntermediateOutput`s of the float model, of which it may have fewer.
        observed: `Observed` of each of these.
    """

    def __init__(self, observable, outputs, observed):
        self.observable = observable
        places = {output.name: place for place, output in enumerate(outputs)}
        self._places = [places[output.name] for output in observable.intermediate_outputs]
        self.activations = [
            ActivationStatistics(
                layer=output.layer,
                observed=observed[place],
                range=output.quantizer.range,
                bits=output.quantizer.bits,
                is_input=output.is_input,
                is_fixed=output.quantizer.fixed_range is not None,
            )
            for output, place in zip(observable.intermediate_outputs, self._places, strict=True)
        ]

    def add(self, batch, reference):
        """Take one more batch into account.

        Args:
            batch: One array for each input.
            reference: The float value of each output.

        Returns:
            The outputs of the model.
        """
        self.observable.set_phases(None)
        values, outputs = self.observable.values_and_outputs(batch)
        for statistics, place, quantized in zip(
            self.activations, self._places, values, strict=True
        ):
            statistics.add(reference[place], quantized)
        return outputs

    def statistics(self, kernels):
        """Return the `LayerStatistics`.

        Args:
            kernels: What `float_kernels` returned for the float model.
        """
        self.observable.set_phases(None)
        weights = []
        for wrapper in self.observable.kernels:
            for kernel in wrapper.kernels:
                settings, scale = (
                    wrapper.quantization,
                    keras.ops.convert_to_numpy(wrapper.scale(kernel)),
                )
                weights.append(
                    WeightStatistics(
                        layer=wrapper.name,
                        weights=kernels[wrapper.name, kernel.attribute],
                        stored=kernel.to_deployed(deployed_kernel(wrapper, kernel)),
                        axis=kernel.deployed_channel_axis,
                        scales=scale.size,
                        bits=settings.bits,
                        is_depthwise="depthwise" in type(wrapper.layer).__name__.lower(),
                    )
                )
        return LayerStatistics(
            source=QuantizedForm.SIMULATED,
            activations=tuple(self.activations),
            weights=tuple(weights),
        )


def float_kernels(observable):
    """Return the float kernels, folded and in the file's layout.

    Args:
        observable: A `ObservableModel`.

    Returns:
        Dict from (layer, attribute) to array.
    """
    observable.set_phases(())
    return {
        (wrapper.name, kernel.attribute): kernel.to_deployed(deployed_kernel(wrapper, kernel))
        for wrapper in observable.kernels
        for kernel in wrapper.kernels
    }
