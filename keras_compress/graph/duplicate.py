"""Duplicate a built layer of a user's class as it is: its attributes, sublayers and variables.

`from_config(get_config())` makes another layer where `get_config` leaves an argument out, and fails
where it has one too many. Here no constructor runs. Besides private fields of Keras layers
(`_trainable_variables`, `_tracker`, ...) nothing is known of the class.
"""

import collections
import functools
import types
from typing import Any

import keras
from keras.src.models.functional import Functional

# Fields of every Keras layer that a copy takes over; the others it sets up for itself.
_FIELDS = (
    *("_allow_non_tensor_positional_args", "_auto_config", "_build_shapes_dict", "_called"),
    *("_convert_input_args", "_input_spec", "_path", "_remat_mode", "_supports_masking"),
    *("_trainable", "activity_regularizer", "supports_jit"),
)
# What TensorFlow and PyTorch keep of the attributes of a layer.
_OF_BACKENDS = (
    *("_self_setattr_tracking", "_self_unconditional_", "_self_name_based_restores"),
    *("_self_saveable_object_factories", "_self_update_uid", "_torch_params"),
)
_BACKENDS = ("tensorflow", "jax", "torch")


class CannotDuplicate(Exception):
    """A layer holds something that leads back to itself and cannot be duplicated."""


def duplicate(layer: keras.Layer, name: str) -> Any:
    """Return a copy of a built layer that shares no variable and no sublayer with it.

    Lists, dicts and functions that hold sublayers or variables are copied with them; everything
    else (numbers, initializers, policies) is shared.

    Args:
        layer: A built Keras layer.
        name: Name of the copy.

    Returns:
        A built layer of the same class, with equal weights.

    Raises:
        CannotDuplicate: It holds an object that leads back to its own variables or sublayers and
            is of no type that can be copied.

    Example:
        >>> class Scaled(keras.layers.Layer):
        ...     def __init__(self, function, **kwargs):
        ...         super().__init__(**kwargs)
        ...         self.function, self.dense = function, keras.layers.Dense(2)
        ...     def call(self, inputs):
        ...         return self.function(self.dense(inputs))
        >>> layer = Scaled(lambda x: x * 2)
        >>> outputs = layer(keras.ops.ones((1, 4)))
        >>> copy = duplicate(layer, "copy")
        >>> copy.name, copy.dense is layer.dense, len(copy.weights)
        ('copy', False, 2)
    """
    copy = _Duplicates().layer(layer, name)
    pairs = list(zip(layer.weights, copy.weights, strict=False))
    if len(copy.weights) != len(layer.weights) or any(a.path != b.path for a, b in pairs):
        raise CannotDuplicate(f"the copy of {layer.name!r} has other weights")
    return copy


class _Duplicates:
    """Copies of objects, one for each, by the identity of the original."""

    def __init__(self):
        self._copies = {}

    def of(self, value):
        """Return the copy of a value; the value itself if it holds no layer and no variable."""
        if id(value) in self._copies:
            return self._copies[id(value)][0]
        if isinstance(value, keras.Model) and not _is_subclassed(value):
            return self._keep(value, self._model(value))
        if isinstance(value, keras.layers.Layer):
            return self.layer(value, value.name)
        if isinstance(value, keras.Variable):
            return self._keep(value, _variable(value))
        if isinstance(value, list | tuple | dict | set):
            return self._collection(value)
        if not _leads_to_state(value):
            return value
        return self._holder(value)

    def layer(self, layer, name):
        """Return the copy of a layer."""
        if isinstance(layer, keras.Model) and not _is_subclassed(layer):
            return self._keep(layer, self._model(layer))
        kind: Any = type(layer)
        copy = self._keep(layer, kind.__new__(kind))
        base: Any = keras.Model if isinstance(layer, keras.Model) else keras.layers.Layer
        base.__init__(copy, name=name, dtype=layer.dtype_policy, autocast=layer.autocast)
        own = set(vars(copy))
        for store in ("trainable_variables", "non_trainable_variables"):
            for variable in getattr(layer, f"_{store}"):
                copy._tracker.add_to_store(store, self.of(variable))
        for field in _FIELDS:
            object.__setattr__(copy, field, getattr(layer, field))
        for key, value in _attributes(layer).items():
            if key not in own and key != "get_config" and not key.startswith(_OF_BACKENDS):
                setattr(copy, key, self.of(value))
        copy.built = layer.built
        return copy

    def _model(self, model):
        """Copy a functional or Sequential model, layer by layer."""
        if type(model) not in (keras.Sequential, Functional):
            raise CannotDuplicate(f"{model.name!r} is a model of the class {type(model).__name__}")
        copy: Any = keras.models.clone_model(model, clone_function=self.of)
        copy.trainable = model.trainable
        return copy

    def _collection(self, value):
        kind: Any = type(value)
        if isinstance(value, dict):
            kind = collections.OrderedDict if isinstance(value, collections.OrderedDict) else dict
            return self._keep(value, kind({key: self.of(each) for key, each in value.items()}))
        members = [self.of(member) for member in value]
        if isinstance(value, tuple):
            return self._keep(value, tuple(members) if kind is tuple else kind(*members))
        return self._keep(value, set(members) if isinstance(value, set) else members)

    def _holder(self, value):
        """Copy an object that leads to layers or variables: a function, or one with attributes."""
        if isinstance(value, types.MethodType):
            return types.MethodType(value.__func__, self.of(value.__self__))
        if isinstance(value, functools.partial):
            arguments = self.of(value.args), self.of(value.keywords)
            return functools.partial(self.of(value.func), *arguments[0], **arguments[1])
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if type(value).__module__.split(".")[0] in _BACKENDS:
            raise CannotDuplicate(f"a {type(value).__name__} of {type(value).__module__}")
        copy = self._keep(value, object.__new__(type(value)))
        for key, member in vars(value).items():
            object.__setattr__(copy, key, self.of(member))
        return copy

    def _function(self, function):
        cells = tuple(types.CellType() for _ in function.__closure__ or ())
        copy = types.FunctionType(
            function.__code__,
            function.__globals__,
            function.__name__,
            self.of(function.__defaults__),
            cells,
        )
        copy.__kwdefaults__ = self.of(function.__kwdefaults__)
        copy.__dict__.update(vars(function))
        self._keep(function, copy)
        for cell, original in zip(cells, function.__closure__ or (), strict=True):
            if _is_filled(original):
                cell.cell_contents = self.of(original.cell_contents)
        return copy

    def _keep(self, value, copy):
        # The original is kept too, so that no other object gets its identity.
        self._copies[id(value)] = copy, value
        return copy


def _is_subclassed(model):
    return not isinstance(model, keras.Sequential | Functional)


def _variable(variable):
    """Return a new variable of the same value and settings."""
    copy = keras.Variable(
        keras.ops.convert_to_numpy(variable),  # TensorFlow's own variable would be shared.
        trainable=variable.trainable,
        dtype=variable.dtype,
        autocast=variable._autocast,
        aggregation=variable.aggregation,
        name=variable.name,
    )
    copy._path = variable.path
    copy.constraint, copy.regularizer = variable.constraint, variable.regularizer
    return copy


def _attributes(layer):
    """Return the attributes of a layer; PyTorch keeps those that are layers in another dict."""
    return {**vars(layer), **vars(layer).get("_modules", {})}


def _leads_to_state(value):
    """Tell whether a layer or a variable can be reached from a value."""
    pending, seen = [value], {}
    while pending:
        member = pending.pop()
        if id(member) in seen or isinstance(member, type | types.ModuleType | keras.KerasTensor):
            continue
        seen[id(member)] = member
        if isinstance(member, keras.layers.Layer | keras.Variable):
            return True
        pending += _members(member)
    return False


def _members(value):
    """List what a collection, a function or an object holds."""
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list | tuple | set):
        return list(value)
    if isinstance(value, types.MethodType):
        return [value.__self__]
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, types.FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)]
        return [*cells, value.__defaults__, value.__kwdefaults__]
    return list(getattr(value, "__dict__", {}).values())


def _is_filled(cell):
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False
