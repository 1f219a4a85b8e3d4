"""Which classes and functions an untrusted model file may name.

Keras turns names in a file into objects. Among them are objects that read files (a `StringLookup`
whose vocabulary is a path), run a foreign graph (`TFSMLayer`) or call any function (`Lambda`). Here
every name is looked up before Keras sees the file, and only parts of a model are allowed: Keras'
layers, operations, initializers, regularizers, constraints, activations, losses, metrics,
optimizers and dtype policies, and what the caller registered or passed. Nothing is imported.
"""

import sys
import types
from collections.abc import Callable, Mapping
from typing import Any

from keras_compress.converters.keras2 import model_config
from keras_compress.errors import InvalidArgumentError

# Packages of Keras whose functions are parts of a model, ...
_FUNCTIONS = (
    "activations",
    "losses",
    "metrics",
    "initializers",
    "regularizers",
    "constraints",
    "ops",
)
# ... and those whose classes are. Classes that run foreign code (TFSMLayer, TorchModuleWrapper,
# JaxLayer, FlaxLayer) are defined in other packages.
_CLASSES = (
    *_FUNCTIONS,
    "layers",
    "models",
    "optimizers",
    "dtype_policies",
    "quantizers",
    "random.seed_generator",
)
# Where Keras looks for a name that comes without a module.
_PUBLIC = ("layers", "models", *_FUNCTIONS, "optimizers", "optimizers.schedules", "dtype_policies")
_MODELS = ("Functional", "Sequential", "Model")
# Keras builds these values itself.
_VALUES = (
    "__keras_tensor__",
    "__tensor__",
    "__numpy__",
    "__bytes__",
    "__ellipsis__",
    "__slice__",
    "__tuple__",
    "TensorShape",
)
# They turn names into objects.
_RESOLVERS = ("deserialize", "serialize", "get")
_FILE_ARGUMENTS = ("vocabulary", "merges", "proto", "filepath")
_REBUILT = "keras_compress>RebuiltModel"
_FUNCTION, _LAMBDA = "function", "Lambda"


def check(
    config: Any,
    origin: str,
    custom_objects: Mapping[str, Any] | None = None,
    is_allowed: Callable[[dict], bool] = lambda entry: False,
) -> None:
    """Refuse a configuration that names anything but parts of a model; nothing is built.

    Args:
        config: A model's configuration, from JSON.
        origin: Where it was read from, for error messages.
        custom_objects: Name -> class or function of the caller's own.
        is_allowed: Called with an entry; returns whether it is allowed in any case.

    Raises:
        InvalidArgumentError: An object is not allowed; the message names it, the layer and what
            to do.
    """
    custom_objects = custom_objects or {}
    left_out: set = set()
    for entry, layer in model_config.entries(config):
        left_out.update(_original(entry))
        if entry["class_name"] in _VALUES or is_allowed(entry) or id(entry) in left_out:
            continue
        own = _callers_object(entry, custom_objects)
        if own is None and not _is_part(entry, custom_objects):
            raise _refused(entry, layer, origin)
        _check_files(entry, own, layer, origin)


def _original(entry):
    """Yield the identity of the class that a rebuilt model had, which is not looked up in Keras.

    `RebuiltModel` does without it, and says so, if the caller has not registered it.
    """
    if entry.get("registered_name") == _REBUILT and isinstance(entry.get("config"), dict):
        yield id(entry["config"].get("original"))


def _callers_object(entry, custom_objects):
    """Return the class or function that the caller passed or registered, or `None`."""
    is_function = entry["class_name"] == _FUNCTION
    name = entry.get("config") if is_function else entry["class_name"]
    registered_name = entry.get("registered_name") or name
    for key in (name, registered_name):
        if isinstance(key, str) and (own := _callers(key, custom_objects)) is not None:
            # Older formats go by the plain name, which must not stand for something else.
            return own if key == name or _is_free(name, own) else None
    return None


def _callers(name, custom_objects):
    import keras

    if name in custom_objects:
        return custom_objects[name]
    registered = keras.saving.get_registered_object(name)
    return None if _is_of_keras(registered) else registered


def _is_free(name, own):
    """Return whether a plain name is that of the caller's object and of none that Keras refuses.

    The plain name of a `RebuiltModel` is that of the user's class, which Keras does not look up.
    """
    theirs = _lookup(None, name)
    is_its_own = own.__name__ == name or own.__name__ == _REBUILT.rpartition(">")[-1]
    return is_its_own and (theirs is None or _is_class_of_parts(theirs))


def _is_of_keras(value):
    return str(getattr(value, "__module__", "")).split(".")[0] == "keras"


def _is_part(entry, custom_objects):
    """Return whether an entry names a part of a model that Keras itself defines."""
    name, module = entry["class_name"], entry.get("module")
    if name == _FUNCTION:
        value = _lookup(module, entry.get("config"))
        return isinstance(value, types.FunctionType) and _is_function_of_parts(value)
    if name == _LAMBDA:
        return _calls_callers_function(entry.get("config"), custom_objects)
    return (not module and name in _MODELS) or _is_class_of_parts(_lookup(module, name))


def _calls_callers_function(config, custom_objects):
    """Return whether a Lambda layer calls a function that the caller registered or passed."""
    function = config.get("function") if isinstance(config, dict) else None
    if isinstance(function, str):
        function = {"class_name": _FUNCTION, "config": function}
    if not isinstance(function, dict) or function.get("class_name") != _FUNCTION:
        return False
    return _callers_object(function, custom_objects) is not None


def _is_class_of_parts(value):
    return isinstance(value, type) and _is_defined_in(value, _CLASSES) and value.__name__ != _LAMBDA


def _is_function_of_parts(value):
    return _is_defined_in(value, _FUNCTIONS) and value.__name__ not in _RESOLVERS


def _is_defined_in(value, packages):
    inner = value.__module__.removeprefix("keras.src.")
    return inner != value.__module__ and any(
        inner == package or inner.startswith(f"{package}.") for package in packages
    )


def _lookup(module, name):
    """Return what a name stands for in Keras, or `None`; nothing is imported."""
    if not isinstance(name, str):
        return None
    if not module or module == "builtins":
        places = (_public_module(f"keras.{place}") for place in _PUBLIC)
        values = (vars(place).get(name) for place in places if place is not None)
        return next((value for value in values if value is not None), None)
    if not isinstance(module, str) or module.split(".")[0] != "keras":
        return None
    for place in (_public_module(module), sys.modules.get(module)):
        if place is not None and name in vars(place):
            return vars(place)[name]
    return None


def _public_module(path):
    import keras

    place = keras
    for part in path.split(".")[1:]:
        place = vars(place).get(part)
        if not isinstance(place, types.ModuleType):
            return None
    return place


def _check_files(entry, own, layer, origin):
    """Refuse arguments that are names of files, which layers of Keras would read."""
    config = entry.get("config")
    if not isinstance(config, dict) or (own is not None and not _is_keras_package(own)):
        return
    for argument in _FILE_ARGUMENTS:
        if isinstance(config.get(argument), str):
            raise InvalidArgumentError(
                f"A model file must hold the {argument} itself: {entry['class_name']} would read "
                f"another file on this machine. {_way_out()} Received: {argument}="
                f"{_shown(config[argument])} in layer {_shown(layer)} of {origin}"
            )


def _is_keras_package(value):
    return str(getattr(value, "__module__", "")).split(".")[0] in (
        "keras_hub",
        "keras_nlp",
        "keras_cv",
    )


def _refused(entry, layer, origin):
    name = entry["class_name"]
    name = entry.get("config") if name == _FUNCTION else name
    where = f" of module {_shown(entry['module'])}" if entry.get("module") else ""
    kind = "function" if entry["class_name"] == _FUNCTION else "class"
    return InvalidArgumentError(
        f"A model file may name layers and other parts of models that Keras defines, and what you "
        f"registered or pass: kc.load_model(path, custom_objects={{name: {kind}}}). Other objects "
        f"can run code or read files. {_way_out()} Received: {kind} {_shown(name)}{where} in "
        f"layer {_shown(layer)} of {origin}"
    )


def _way_out():
    return (
        "If you trust the file, call kc.load_model(path, safe_mode=False) and pass the model it "
        "returns."
    )


def _shown(value, longest=80):
    text = repr(value)
    return text if len(text) <= longest else f"{text[:longest]} …"
