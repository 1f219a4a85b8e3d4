"""The integer weights that decide what a layer computes: its phase and the width of its weights."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
from keras import ops

_CHANGES = itertools.count(1)


class StateVariable(keras.Variable):
    """An integer weight by which a layer chooses what it computes.

    The weight is the only home of the value, so whatever assigns it (a callback, `set_weights`,
    `load_weights`) changes what the layer computes, in functions that are already compiled too:
    they contain all branches. Inside `known_values`, functions are traced with the branch of the
    current value alone, which is faster.

    Args:
        name: Name of the variable.
        value: Its initial value, an integer.

    Attributes:
        known: The value inside `known_values`, else `None`.
        last_change: Number that grows whenever a variable of this class is assigned.

    Example:
        >>> variable = StateVariable("phase", 0)
        >>> _ = variable.assign(1)
        >>> variable.read(), variable.choose([lambda: "off", lambda: "on"])
        (1, 'on')
    """

    last_change = 0

    def __init__(self, name: str, value: int) -> None:
        self.known: int | None = None
        super().__init__(
            keras.initializers.Constant(value), (), dtype="int32", trainable=False, name=name
        )

    def assign(self, value: Any) -> Any:
        """Assign a value."""
        StateVariable.last_change = next(_CHANGES)
        return super().assign(value)

    def read(self) -> int:
        """Return the value; impossible while a function is traced, unless the value is known."""
        return int(ops.convert_to_numpy(self)) if self.known is None else self.known

    def current(self) -> Any:
        """Return the value to compute with: an integer if it is known, else an integer tensor."""
        return ops.convert_to_tensor(self) if self.known is None else self.known

    def choose(self, branches: Sequence[Callable[[], Any]], first: int = 0) -> Any:
        """Return what the branch of the current value returns.

        Args:
            branches: Functions that return tensors of the same shapes and types and assign
                nothing. Beyond the last value, the last applies.
            first: The value of the first branch.
        """
        if len(branches) == 1:
            return branches[0]()
        if self.known is not None:
            return branches[min(max(self.known - first, 0), len(branches) - 1)]()
        return ops.switch(self.current() - first, list(branches))

    def at_least(self, value: int) -> Any:
        """Tell whether the value is at least another: a `bool` if known, else a boolean tensor."""
        return self.current() >= value


def state_variables(model: keras.Model) -> list[StateVariable]:
    """List the state variables of a model.

    Args:
        model: A Keras model, built.
    """
    return [variable for variable in model.variables if isinstance(variable, StateVariable)]


@contextlib.contextmanager
def known_values(variables: Sequence[StateVariable], values: Sequence[int]) -> Iterator[None]:
    """Trace functions for given values of state variables alone.

    What is traced inside is wrong once a value changes, so whoever enters must trace it again then.

    Args:
        variables: The variables.
        values: Their current values.
    """
    for variable, value in zip(variables, values, strict=True):
        variable.known = value
    try:
        yield
    finally:
        for variable in variables:
            variable.known = None


def when(condition: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """Return the result of one of two functions, in Python if the condition is known there.

    Args:
        condition: A `bool` or a scalar boolean tensor.
        then: Called if it is true.
        otherwise: Called if it is false; both return tensors of the same shapes and types.

    Example:
        >>> when(True, lambda: 1, lambda: 2)
        1
    """
    if isinstance(condition, bool):
        return then() if condition else otherwise()
    return ops.cond(condition, then, otherwise)


def where(condition: Any, then: Any, otherwise: Any) -> Any:
    """Return one of two tensors; both are computed, unless the condition is known in Python.

    Args:
        condition: A `bool` or a scalar boolean tensor.
        then: Tensor for true.
        otherwise: Tensor of the same shape for false.

    Example:
        >>> where(False, 1, 2)
        2
    """
    if isinstance(condition, bool):
        return then if condition else otherwise
    return ops.where(condition, then, otherwise)


def value_of(variable: Any) -> Any:
    """Return the value of a variable as one tensor, which a traced function reads once.

    On TensorFlow `ops.convert_to_tensor` returns a Keras variable as it is. Each operation on it is
    then a read of its own, and TensorFlow does not merge operations that are otherwise equal.

    Args:
        variable: A Keras variable; a tensor is returned unchanged.

    Example:
        >>> float(value_of(keras.Variable(2.0)))
        2.0
    """
    return ops.cast(variable, variable.dtype)
