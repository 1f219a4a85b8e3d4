"""Training steps in which gradients and inputs of layers are summed, on the TensorFlow backend."""

import contextlib
import weakref
from collections.abc import Callable

import keras

from keras_compress.callbacks.kernel_statistics import KernelStatistics
from keras_compress.errors import InvalidArgumentError
from keras_compress.wrappers.compressed_layer import CompressedLayer


class ObservedTrainStep:
    """Exchanges a model's train function for one that sums statistics, and back.

    Both are traced once and kept. While the ordinary one is in place, a step is what it is
    without any statistics.

    Args:
        model: A compiled model, in `fit`.
        statistics: List of `KernelStatistics`; with none there is nothing to observe.

    Raises:
        InvalidArgumentError: Statistics on another backend of Keras, whose train steps cannot be
            observed.
    """

    def __init__(self, model: keras.Model, statistics: list[KernelStatistics]):
        if statistics and keras.config.backend() != "tensorflow":
            raise InvalidArgumentError(
                "Criteria that need gradients or activations are served in fit on the TensorFlow "
                "backend alone. Take criterion='magnitude', or KERAS_BACKEND=tensorflow. "
                f"Received: backend {keras.config.backend()!r}"
            )
        self._model, self._statistics = model, statistics
        self._plain: Callable | None = None
        self._observed: _ObservedFunction | None = None
        if isinstance(model.train_function, _ObservedFunction):  # A fit that was interrupted.
            model.make_train_function(force=True)

    @property
    def active(self) -> bool:
        """Whether the next step sums; not if others made the train function anew meanwhile."""
        return self._observed is not None and self._model.train_function is self._observed

    def begin(self) -> None:
        """Sum from the next step on."""
        if self._observed is None or self._model.train_function is not self._plain:
            self._plain = self._model.train_function
            self._model.make_train_function(force=True)
            self._observed = _ObservedFunction(self._model, self._statistics)
        self._model.train_function = self._observed

    def end(self) -> None:
        """Sum no more."""
        if self.active:
            self._model.train_function = self._plain


class _ObservedFunction:
    """A train function that is traced, if it has to be, with hooks in place.

    The hooks are there during the call alone: nothing else that is traced meets them.
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
        """Sum the gradients, and hand the optimizer those that it has at other times."""
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
        ordinary = layer.call

        def call(inputs, *args, **kwargs):
            statistics.add_inputs(inputs)
            return ordinary(inputs, *args, **kwargs)

        return call


def _masked(gradient, target):
    """Return the gradient that a training step has outside: a compressed layer masks its own."""
    if not isinstance(target.layer, CompressedLayer):
        return gradient
    return gradient * keras.ops.cast(target.kernel.mask, gradient.dtype)


def _innermost(optimizer):
    """The optimizer that gradients reach without a loss scale."""
    while isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    return optimizer


@contextlib.contextmanager
def _replaced(thing, name, value):
    """Give an instance an attribute for a while."""
    own = vars(thing)
    before = {name: own[name]} if name in own else {}
    setattr(thing, name, value)
    try:
        yield
    finally:
        delattr(thing, name)
        for key, old in before.items():
            setattr(thing, key, old)
