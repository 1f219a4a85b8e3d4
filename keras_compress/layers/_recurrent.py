"""What the recurrent layer types share: the kernels of cells, which are found by a path."""

import keras

from keras_compress.layers.base import Kernel, LayerType

_CELLS = (keras.layers.LSTMCell, keras.layers.GRUCell, keras.layers.SimpleRNNCell)
_NAMES = ("kernel", "recurrent_kernel")


class Recurrent(LayerType):
    """A recurrent layer: both kernels of its cells are pruned and clustered, never quantized.

    The kernel is multiplied by the inputs of a step, the recurrent kernel by the outputs of the
    step before. Columns are the units of one gate after the other, in the file rows.
    """

    applies_activation = False
    is_quantized = False
    has_row = True

    def supports(self, layer: keras.Layer) -> bool:
        """Return whether all cells are those of Keras."""
        return all(isinstance(cell, _CELLS) for cell in cells(layer).values())

    def kernels(self, layer: keras.Layer) -> tuple[Kernel, ...]:
        """See `LayerType.kernels`."""
        return tuple(
            Kernel(f"{path}.{name}", channel_axes=(1,), permutation=(1, 0), has_layout=False)
            for path in cells(layer)
            for name in _NAMES
        )

    def weight_uses(self, layer, input_shape, output_shape):
        """Return the number of steps."""
        return input_shape[1] or 1


def cells(layer: keras.Layer) -> dict[str, keras.Layer]:
    """Return the cells of a recurrent layer, each by the path of attributes that leads to it.

    Args:
        layer: A `keras.layers.RNN` or `Bidirectional`.

    Example:
        >>> both = keras.layers.Bidirectional(keras.layers.GRU(2))
        >>> list(cells(both))
        ['forward_layer.cell', 'backward_layer.cell']
    """
    if isinstance(layer, keras.layers.Bidirectional):
        both = {name: getattr(layer, name) for name in ("forward_layer", "backward_layer")}
        return {
            f"{name}.{path}": cell
            for name, inner in both.items()
            if isinstance(inner, keras.layers.RNN)
            for path, cell in cells(inner).items()
        }
    stacked = isinstance(layer.cell, keras.layers.StackedRNNCells)
    inner = dict(enumerate(layer.cell.cells)) if stacked else {}
    return {f"cell.cells.{i}": cell for i, cell in inner.items()} or {"cell": layer.cell}
