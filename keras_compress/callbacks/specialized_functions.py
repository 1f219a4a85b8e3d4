"""Train and test functions traced for the current phase alone, again when it changes."""

import weakref
from collections.abc import Callable
from typing import Any

import keras

from keras_compress.wrappers.state_variable import StateVariable, known_values, state_variables

_NAMES = ("train_function", "test_function")


def specialize(model: keras.Model) -> None:
    """Put a `SpecializedFunction` in place of a model's train and test functions.

    Whatever else is traced, such as a custom training loop, contains all phases and follows the
    weights by itself, at a cost in each step.

    Args:
        model: A compiled model, in `fit`.
    """
    for name in _NAMES:
        if not isinstance(getattr(model, name), SpecializedFunction):
            setattr(model, name, SpecializedFunction(model, name))
        getattr(model, name).in_fit = True


def watch_weights(model: keras.Model) -> None:
    """Tell the specialized functions of a model that `fit` has ended.

    Args:
        model: The model.
    """
    for name in _NAMES:
        if isinstance(function := getattr(model, name), SpecializedFunction):
            function.in_fit = False


class SpecializedFunction:
    """A model's train or test function, traced for the current values of its state variables.

    Args:
        model: The model.
        name: Name of the model's attribute that holds the function.

    Attributes:
        in_fit: Whether only assignments to `StateVariable`s change the values, which are noticed.
            Otherwise each call reads the values, because checkpoints of other tools bypass that.
    """

    in_fit = True

    def __init__(self, model: keras.Model, name: str) -> None:
        self._model = weakref.ref(model)
        self._name = name
        self._variables = state_variables(model)
        self._values: list[int] | None = None
        self._last_change = -1
        self._function: Callable[..., Any] = getattr(model, name)

    def __call__(self, *args: Any) -> Any:
        """Call the function, traced for the current values."""
        if not (self.in_fit and self._last_change == StateVariable.last_change):
            self._read()
        with known_values(self._variables, self._values or []):
            return self._function(*args)

    def _read(self):
        self._last_change = StateVariable.last_change
        values = [variable.read() for variable in self._variables]
        if values != self._values:
            self._values = values
            self._function = self._traced_anew()

    def _traced_anew(self):
        model = self._model()
        in_place = getattr(model, self._name)
        getattr(model, f"make_{self._name}")(force=True)
        function = getattr(model, self._name)
        setattr(model, self._name, in_place)
        return function
