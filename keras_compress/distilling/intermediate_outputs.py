"""The outputs that distillation compares: those before the softmax, and those of inner layers."""

import dataclasses
from typing import Any

import keras
import numpy as np

from keras_compress.errors import InvalidArgumentError, UnknownNameError
from keras_compress.graph.graph import trace
from keras_compress.wrappers.activation_quantizer import ActivationQuantizer
from keras_compress.wrappers.compressed_layer import CompressedLayer

# Probabilities of an int8 file are multiples of 1 / 256, so smaller ones carry no information.
_LEAST_PROBABILITY = 1e-4


@dataclasses.dataclass(frozen=True)
class ComparedOutputs:
    """A model that also returns the outputs that distillation compares.

    Args:
        model: A `keras.Model` with the outputs `outputs`, `scores` and `features`.
        are_probabilities: Whether the scores of each output have passed a softmax.
    """

    model: Any
    are_probabilities: tuple[bool, ...]

    @classmethod
    def of(cls, model, features):
        """Add these outputs to a model. Its layers are shared, not copied.

        Args:
            model: A built Sequential or functional `keras.Model`.
            features: Names of layers.

        Raises:
            UnsupportedModelError: The graph of the model cannot be traced.
            UnknownNameError: No layer has that name.
        """
        graph = trace(model)
        pairs = zip(graph.flat_outputs, model.outputs, strict=True)
        scores = [_scores(*pair) for pair in pairs]
        # A Sequential only has lists, and no `input` or `output` before it is called.
        inputs = keras.tree.pack_sequence_as(graph.inputs, model.inputs)
        outputs = {
            "outputs": keras.tree.pack_sequence_as(graph.outputs, model.outputs),
            "scores": [tensor for tensor, _ in scores],
            "features": [_feature(model, name) for name in features],
        }
        return cls(keras.Model(inputs, outputs), tuple(flag for _, flag in scores))

    def __call__(self, inputs, training):
        """Run the model.

        Args:
            inputs: A batch in the model's input structure.
            training: Whether layers behave as in training.

        Returns:
            Tuple (outputs, list of logits in float32, list of features in float32).
        """
        results = self.model(inputs, training=training)
        logits = [
            _logits(keras.ops.cast(scores, "float32"), flag)
            for scores, flag in zip(results["scores"], self.are_probabilities, strict=True)
        ]
        features = [keras.ops.cast(feature, "float32") for feature in results["features"]]
        return results["outputs"], logits, features

    @property
    def feature_shapes(self):
        """Shapes of the features, with `None` for the batch."""
        return [tuple(tensor.shape) for tensor in self.model.output["features"]]

    @property
    def output_shapes(self):
        """Shapes of the outputs, with `None` for the batch."""
        return [tuple(tensor.shape) for tensor in self.model.output["scores"]]


def _logits(scores, are_probabilities):
    """Return logits. Those of probabilities are off by a constant, which softmax ignores."""
    if not are_probabilities:
        return scores
    return keras.ops.log(keras.ops.maximum(scores, np.float32(_LEAST_PROBABILITY)))


def _scores(value, output):
    """Return (tensor before the softmax of an output, false), or (tensor after it, true)."""
    call = value.producer
    while call is not None and isinstance(call.operation, ActivationQuantizer):
        call = call.inputs[0].producer
    if call is None:
        return output, False
    operation = call.operation
    if _is_softmax(operation):
        maker = call.inputs[0].producer
        before = None if maker is None else _only_output(maker.operation)
        return (output, True) if before is None else (before, False)
    layer = operation.layer if isinstance(operation, CompressedLayer) else operation
    if getattr(layer, "activation", None) is keras.activations.softmax:
        after = _only_output(operation)
        return (output if after is None else after), True
    return output, False


def _is_softmax(operation):
    if isinstance(operation, keras.layers.Softmax):
        return True
    activation = getattr(operation, "activation", None)
    is_activation = isinstance(operation, keras.layers.Activation)
    return is_activation and activation is keras.activations.softmax


def _only_output(operation):
    """Return the output of an operation that has one and is called once, else `None`."""
    try:
        tensor = operation.output
    except (AttributeError, ValueError):
        return None
    return tensor if not isinstance(tensor, list | tuple | dict) else None


def _feature(model, name):
    layers = {layer.name: layer for layer in model.layers}
    if name not in layers:
        raise UnknownNameError("layer", name, layers)
    tensor = _only_output(layers[name])
    if tensor is None:
        raise InvalidArgumentError(
            "A feature must be the only output of a layer that is called once. "
            f"Received: the layer {name!r} of {model.name}"
        )
    return tensor
