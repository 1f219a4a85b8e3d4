"""Projected gradient descent: a constraint that moves a kernel towards its grid."""

import keras
from keras import ops


class Projection(keras.constraints.Constraint):
    """Moves a kernel towards its grid after each update, as its quantizer prescribes.

    Args:
        wrapper: The `CompressedLayer` that has the kernel.
        kernel: One of the wrapper's `kernels`.
        updates: Variable that counts the updates made since quantization began.
        inner: The kernel's original constraint, applied first, or `None`.
    """

    def __init__(self, wrapper, kernel, updates, inner):
        self._wrapper, self._kernel, self._updates, self._inner = wrapper, kernel, updates, inner

    def __call__(self, weights):
        """Return the weights after the quantizer's projection."""
        if self._inner is not None:
            weights = self._inner(weights)
        wrapper = self._wrapper
        updates = ops.convert_to_tensor(self._updates) + ops.cast(wrapper.is_on, "float32")
        self._updates.assign(updates)

        def projected():
            rounded = wrapper.effective_kernel(self._kernel)
            return wrapper.quantization.quantizer.project(weights, rounded, updates)

        return wrapper.by_phase(lambda: weights, projected)
