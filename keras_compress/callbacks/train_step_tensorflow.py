"""Training steps that sum gradients and inputs of layers, for the TensorFlow backend."""

import contextlib
import weakref
from collections.abc import Callable

import keras

from keras_compress.callbacks.kernel_statistics import KernelStatistics
from keras_compress.errors import InvalidArgumentError
from keras_compress.wrappers.compressed_layer import CompressedLayer


class ObservedTrainStep:
    """Swaps a model's train function for one that sums statistics, and back.

    Both are traced once and kept. While the ordinary function is in place, statistics cost nothing.

    Args:
        model: A compiled model, in `fit`.
        statistics: List of `KernelStatistics`; if empty, there is nothing to observe.

    Raises:
        InvalidArgumentError: Statistics are needed on another Keras backend, whose train steps
            cannot be observed.
    """

    def __init__(self, model: keras.Model, statistics: list[KernelStatistics]):
        if statistics and keras.config.backend() != "tensorflow":
            raise InvalidArgumentError(
                "Criteria that need gradients or activations work in fit only on the TensorFlow "
                "backend. Use criterion='magnitude', or KERAS_BACKEND=tensorflow. "
                f"Received: backend {keras.config.backend()!r}"
            )
        self._model, self._statistics = model, statistics
        self._plain: Callable | None = None
        self._observed: _ObservedFunction | None = None
        if isinstance(model.train_function, _ObservedFunction):  # Left by an interrupted fit.
            model.make_train_function(force=True)

    @property
    def active(self) -> bool:
        """Whether the next step sums; false if the train function was replaced in the meantime."""
        return self._observed is not None and self._model.train_function is self._observed

    def begin(self) -> None:
        """Start summing with the next step."""
        if self._observed is None or self._model.train_function is not self._plain:
            self._plain = self._model.train_function
            self._model.make_train_function(force=True)
            self._observed = _ObservedFunction(self._model, self._statistics)
        self._model.train_function = self._observed

    def end(self) -> None:
        """Stop summing."""
        if self.active:
            self._model.train_function = self._plain


class _ObservedFunction:
    """A train function that installs hooks during its call, so that they are traced into it.

    The hooks exist only during the call, so nothing else that is traced contains them.
    """

    def __init__(self, model, statistics):
        self._function = model.train_function
        self._model = weakref.proxy(model)
        self._optimizer = _innermost(model.optimizer)
        self._statistics = statistics

    def __call__(self, iterator):
        with contextlib.ExitStack() as hooks:
            hooks.enter_context(_replaced(self._optimizer, "apply", self._apply))
            for statistics in self._statistics:
                layer = statistics.target.layer
                hooks.enter_context(_replaced(layer, "call", self._call(layer, statistics)))
                if isinstance(layer, CompressedLayer):
                    hooks.enter_context(_replaced(layer, "gradients_pass_masks", True))
            return self._function(iterator)

    def _apply(self, grads, trainable_variables=None):
        """Sum the gradients, and pass the optimizer the gradients of an ordinary step."""
        by_variable = {id(statistics.variable): statistics for statistics in self._statistics}
        gradients = list(grads)
        variables = list(trainable_variables or self._model.trainable_variables)
        for index, variable in enumerate(variables):
            statistics = by_variable.get(id(variable))
            if statistics is not None and gradients[index] is not None:
                statistics.add_gradient(gradients[index])
                gradients[index] = _masked(gradients[index], statistics.target)
        return type(self._optimizer).apply(self._optimizer, gradients, variables)

    def _call(self, layer, statistics):
        original_call = layer.call

        def call(inputs, *args, **kwargs):
            statistics.add_inputs(inputs)
            return original_call(inputs, *args, **kwargs)

        return call


def _masked(gradient, target):
    """Return the gradient of an ordinary step, in which a compressed layer masks its own."""
    if not isinstance(target.layer, CompressedLayer):
        return gradient
    return gradient * keras.ops.cast(target.kernel.mask, gradient.dtype)


def _innermost(optimizer):
    """Return the optimizer inside any loss scaling."""
    while isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    return optimizer


@contextlib.contextmanager
def _replaced(instance, name, value):
    """Set an attribute of an instance temporarily."""
    attributes = vars(instance)
    previous = {name: attributes[name]} if name in attributes else {}
    setattr(instance, name, value)
    try:
        yield
    finally:
        delattr(instance, name)
        for key, old in previous.items():
            setattr(instance, key, old)
