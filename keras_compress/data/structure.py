"""Arrays of any library, alone or in a list or dict, without importing that library."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from keras_compress.errors import InvalidArgumentError


@runtime_checkable
class _ArrayLike(Protocol):
    def __array__(self): ...


def is_instance(value: Any, package: str, name: str) -> bool:
    """Return whether a value is an instance of a class, without importing that class.

    Args:
        value: Any object.
        package: The top-level package of the class, such as `"torch"`.
        name: The name of the class.

    Example:
        >>> is_instance(np.zeros(3), "numpy", "ndarray")
        True
    """
    return any(
        base.__name__ == name and base.__module__.partition(".")[0] == package
        for base in type(value).__mro__
    )


def is_array(value: Any) -> bool:
    """Return whether a value is an array of numpy or of another library."""
    return isinstance(value, _ArrayLike) or is_instance(value, "torch", "Tensor")


def shape_of(value: Any) -> tuple[int, ...]:
    """Return the shape of an array, without copying it if it has a `shape`."""
    try:
        return tuple(value.shape)
    except AttributeError:
        return to_numpy(value).shape


def to_numpy(value: Any) -> np.ndarray:
    """Return a numpy array; torch tensors may be on any device.

    Args:
        value: An array of any library, a number, or nested lists of numbers.

    Raises:
        InvalidArgumentError: The parts of a list differ in shape, or an object is not an array.
    """
    if is_instance(value, "torch", "Tensor"):
        value = value.detach().cpu()
        # numpy has no bfloat16.
        return (value.float() if "bfloat16" in str(value.dtype) else value).numpy()
    try:
        return np.asarray(value)
    except (ValueError, TypeError) as error:
        raise InvalidArgumentError(
            f"Each sample must be an array of numbers. Received: a {type(value).__name__} that "
            f"numpy cannot convert, often because its parts differ in shape ({error})"
        ) from None


def leaves(structure: Any) -> list:
    """Return the arrays of a structure: one array, or a list, tuple or dict of arrays.

    A list of numbers is one array. `None` has no leaves.

    Example:
        >>> len(leaves([np.zeros(3), np.zeros(2)])), len(leaves([1, 2, 3]))
        (2, 1)
    """
    if structure is None:
        return []
    if isinstance(structure, Mapping):
        return [leaf for value in structure.values() for leaf in leaves(value)]
    if _is_list_of_arrays(structure):
        return [leaf for value in structure for leaf in leaves(value)]
    return [structure]


def map_leaves(function: Callable, *structures: Any) -> Any:
    """Call a function with the arrays at the same position in each structure.

    Args:
        function: Function of as many arrays as there are structures.
        *structures: Structures of the same form, as for `leaves`.

    Returns:
        A structure of the results; tuples become lists. `None` if any structure is `None`.

    Example:
        >>> map_leaves(len, {"a": np.zeros(3), "b": np.zeros(2)})
        {'a': 3, 'b': 2}
    """
    first = structures[0]
    if any(structure is None for structure in structures):
        return None
    if isinstance(first, Mapping):
        return {key: map_leaves(function, *(s[key] for s in structures)) for key in first}
    if _is_list_of_arrays(first):
        return [map_leaves(function, *parts) for parts in zip(*structures, strict=True)]
    return function(*structures)


def _is_list_of_arrays(value):
    if isinstance(value, tuple):
        return True
    # A list of numpy scalars is one array.
    return (
        isinstance(value, list)
        and bool(value)
        and all(is_array(part) and shape_of(part) for part in value)
    )
