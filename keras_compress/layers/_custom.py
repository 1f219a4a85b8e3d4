"""The type of a user's own layer that says which of its weights are kernels."""

from keras_compress.errors import InvalidArgumentError
from keras_compress.layers.base import Kernel, LayerType

METHOD = "compressed_weights"


class Custom(LayerType):
    """A layer with a method `compressed_weights()`.

    It returns a dict from the name of an attribute, which holds a variable, to the axis of the
    output channels in it: an integer, or `None` where one scale serves the whole variable.
    """

    applies_activation = False

    def kernels(self, layer):
        """See `LayerType.kernels`."""
        wanted = getattr(layer, METHOD)()
        if not isinstance(wanted, dict) or not wanted:
            raise InvalidArgumentError(
                f"{METHOD} of a layer returns a dict from attribute to the axis of its output "
                f'channels, such as {{"kernel": -1}}. Received: {wanted!r} from {layer.name}'
            )
        return tuple(_kernel(layer, *item) for item in wanted.items())


def _kernel(layer, attribute, axis):
    variable = getattr(layer, attribute, None)
    rank = len(getattr(variable, "shape", ()))
    if not rank or not (axis is None or isinstance(axis, int) and -rank <= axis < rank):
        raise InvalidArgumentError(
            f"{METHOD} names attributes that hold variables once the layer is built, each with an "
            f"axis that the variable has, or None. Received: {attribute}={axis!r} from "
            f"{layer.name}, where it is {variable!r}"
        )
    channel = rank - 1 if axis is None else axis % rank
    rest = tuple(other for other in range(rank) if other != channel)
    return Kernel(
        attribute,
        channel_axes=(channel,),
        permutation=(channel, *rest),
        per_channel=axis is not None,
    )
