"""What stands in the deployed model for affine layers, and for parts of attention and LayerNorm."""

from keras_compress.converters.affine_layers import as_depthwise, is_affine, on_maps
from keras_compress.lowering.attention_layers import AttentionMask
from keras_compress.lowering.normalization_layers import NormalizationStep


def replacement(part, call, copies, ranges):
    """Return what computes a layer in the deployed model.

    Args:
        part: A layer of the compressed model.
        call: The `Call` of it, or of the wrapper that holds it.
        copies: The `LayerCopies` of the deployed model.
        ranges: Whether learned ranges go into its graph.

    Returns:
        A function of the call's tensors; `None` for a layer that is deployed as it is.
    """
    shape = call.outputs[0].shape
    if is_affine(part, shape):
        depthwise = copies.custom(part, lambda name: as_depthwise(part, shape[-1], name))
        return lambda inputs: on_maps(depthwise, inputs)
    if isinstance(part, NormalizationStep) and part.step == "inverse_root":
        # No guard from a variance of zero is needed: the operator answers with its largest value.
        return copies.custom(part, lambda name: _changed(part, name, epsilon=0.0))
    if isinstance(part, AttentionMask) and ranges:
        return copies.custom(part, lambda name: _changed(part, name, score=_lower_end(call)))
    return None


def _lower_end(call):
    """The lower end of the range on the output of a call: the file has one grid for both."""
    (quantizer,) = {reader.operation for reader in call.output.consumers}
    return quantizer.range[0]


def _changed(layer, name, **config):
    return type(layer).from_config({**layer.get_config(), "name": name, **config})
