"""A linear layer as a matrix product: which input values each weight is multiplied by."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class MatrixForm:
    """`outputs[g, o] = sum over k of matrix[g, o, k] * columns[g, k]`, at every position.

    The columns are computed by a copy of the layer whose kernel is an identity matrix, so padding,
    strides and dilation are those of the layer itself.

    Args:
        width: Name of the layer's argument that sets its number of output channels.
        shape: The kernel's shape, with groups of output channels as a separate axis.
        outputs: The axis of `shape` that holds the outputs of a group.
        inputs: The axes of `shape` that hold the weights of one output.
        groups: The axis of `shape` that holds the groups, each of which reads its own columns;
            `None` if there is only one group.
    """

    width: str
    shape: tuple[int, ...]
    outputs: int
    inputs: tuple[int, ...]
    groups: int | None = None

    @property
    def sizes(self):
        """Number of groups, of outputs in a group, and of inputs to an output."""
        groups = 1 if self.groups is None else self.shape[self.groups]
        inputs = int(np.prod([self.shape[axis] for axis in self.inputs]))
        return groups, self.shape[self.outputs], inputs

    @property
    def _order(self):
        groups = () if self.groups is None else (self.groups,)
        return (*groups, self.outputs, *self.inputs)

    def to_matrix(self, kernel):
        """Return a kernel, or an array of its shape, as an array (groups, outputs, inputs)."""
        return np.reshape(kernel, self.shape).transpose(self._order).reshape(self.sizes)

    def from_matrix(self, matrix, kernel_shape):
        """Return an array (groups, outputs, inputs) in the shape of the kernel."""
        arranged = np.reshape(matrix, [self.shape[axis] for axis in self._order])
        return arranged.transpose(np.argsort(self._order)).reshape(kernel_shape)

    def probe(self, layer, input_shape):
        """Return a copy of the layer whose outputs are the columns.

        Args:
            layer: The built layer.
            input_shape: Shape of its inputs.

        Returns:
            A layer that maps inputs (batch, ...) to a tensor (..., groups * inputs). The columns
            of a group are contiguous.
        """
        groups, _, inputs = self.sizes
        width = groups * inputs if self.width == "filters" else inputs
        config = {**layer.get_config(), "use_bias": False, "activation": None, self.width: width}
        copy = type(layer).from_config(config)
        copy.build(input_shape)
        shape = tuple(
            inputs if axis == self.outputs else size for axis, size in enumerate(self.shape)
        )
        wide = MatrixForm(self.width, shape, self.outputs, self.inputs, self.groups)
        identity = np.broadcast_to(np.eye(inputs, dtype="float32"), (groups, inputs, inputs))
        copy.kernel.assign(wide.from_matrix(identity, tuple(copy.kernel.shape)))
        return copy
