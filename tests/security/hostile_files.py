"""Model files as an attacker would write them, from a configuration and weights."""

import io
import json
import zipfile

import h5py
import numpy as np

KERNEL = np.arange(6, dtype="float32").reshape(3, 2)
BIAS = np.zeros(2, "float32")


def dense(**settings):
    """A Dense layer's entry, as Keras 3 writes it."""
    config = {"name": "inner", "units": 2, **settings}
    return {"module": "keras.layers", "class_name": "Dense", "config": config}


def sequential(*layers):
    """A Sequential model's entry of layers behind an input of three values."""
    first = {
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": {"batch_shape": [None, 3], "dtype": "float32", "name": "x"},
    }
    config = {"name": "net", "layers": [first, *layers]}
    return {"module": "keras", "class_name": "Sequential", "config": config}


def layer(module, name, /, **config):
    """An entry of any class."""
    return {"module": module, "class_name": name, "config": {"name": "odd", **config}}


def function(module, name, registered_name="function"):
    """An entry of a function."""
    return {
        "module": module,
        "class_name": "function",
        "config": name,
        "registered_name": registered_name,
    }


def lambda_of(*arguments, **settings):
    """A Lambda layer's entry that calls a function of a module."""
    return layer("keras.layers", "Lambda", function=function(*arguments), arguments={}, **settings)


def write_keras(path, config, version="3.15.1", members=(), weights=None):
    """Write a `.keras` archive; `weights` writes into its HDF5 file."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        stored = file.create_group("layers/dense/vars")
        stored.create_dataset("0", data=KERNEL)
        stored.create_dataset("1", data=BIAS)
        if weights:
            weights(file)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
        archive.writestr("model.weights.h5", stream.getvalue())
        for name in members:
            archive.writestr(name, b"")
    return path


def write_h5(path, config, weights=None):
    """Write an `.h5` model as Keras 2 does; `weights` writes into its HDF5 file."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = config if isinstance(config, str) else json.dumps(config)
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"inner"]
        inner = group.create_group("inner")
        inner.attrs["weight_names"] = [b"kernel:0", b"bias:0"]
        inner.create_dataset("kernel:0", data=KERNEL)
        inner.create_dataset("bias:0", data=BIAS)
        if weights:
            weights(file)
    return path


def without_modules(value):
    """Return a configuration in the older format, which names no modules."""
    if isinstance(value, dict):
        plain = {key: without_modules(inner) for key, inner in value.items()}
        if "class_name" in plain:
            plain.pop("module", None)
            plain.pop("registered_name", None)
        return plain
    return [without_modules(inner) for inner in value] if isinstance(value, list) else value


# Kind of file -> (ending, function that writes a configuration to a path).
WRITERS = {
    "keras": ("keras", write_keras),
    "h5": ("h5", lambda path, config: write_h5(path, without_modules(config))),
    "h5 with modules": ("h5", write_h5),
}


def write(kind, folder, config):
    """Write a model file of a kind; return its path."""
    ending, writer = WRITERS[kind]
    return writer(folder / f"model.{ending}", config)


# What a configuration must not name: each entry runs code, reads a file or changes a setting of
# the process in some release of Keras 2 or 3.
GADGETS = {
    "TFSMLayer": layer("keras.layers", "TFSMLayer", filepath="saved"),
    "TFSMLayer, registered elsewhere": {
        **layer("keras.layers", "TFSMLayer", filepath="saved"),
        "registered_name": "tests>Own",
    },
    "TorchModuleWrapper": layer("keras.layers", "TorchModuleWrapper", module="gASVAA=="),
    "JaxLayer": layer("keras.layers", "JaxLayer", call_fn=function("os", "system")),
    "FlaxLayer": layer("keras.layers", "FlaxLayer", module=function("os", "system")),
    "Lambda of code": layer(
        "keras.layers",
        "Lambda",
        function={
            "class_name": "__lambda__",
            "config": {"code": "4wEA", "defaults": None, "closure": None},
        },
    ),
    "Lambda of TFSMLayer": lambda_of("keras.layers", "TFSMLayer"),
    "Lambda of a download": lambda_of("keras.utils", "get_file"),
    "Lambda of the switch of safe mode": lambda_of("keras.config", "enable_unsafe_deserialization"),
    "Lambda of an unsafe load": lambda_of("keras.saving", "load_model"),
    "Lambda of a setting": lambda_of("keras.config", "set_floatx"),
    "Lambda of a shell": lambda_of("os", "system"),
    "a class of any module": layer("subprocess", "Popen", args="id"),
    "a setting as a layer": layer("keras.config", "set_floatx", value="float16"),
    "a function of any module": dense(kernel_initializer=function("os", "system")),
    "a download as an initializer": dense(kernel_initializer=function("keras.utils", "get_file")),
    "a setting as an initializer": dense(kernel_initializer=function("keras.config", "set_floatx")),
    "a builtin": dense(kernel_initializer=function("builtins", "eval")),
    "a resolver of names": dense(kernel_initializer=function("keras.layers", "deserialize")),
    "an internal module": layer("keras.src.export.tfsm_layer", "TFSMLayer", filepath="saved"),
    "a type specification": dense(
        kernel_initializer={
            "class_name": "__typespec__",
            "spec_name": "Popen",
            "module": "subprocess",
            "registered_name": "Popen",
            "config": ["id"],
        }
    ),
    "a foreign type": dense(
        kernel_initializer={"class_name": "CompositeTensor", "spec": "x", "tensors": []}
    ),
    "an unregistered class": layer("mine.layers", "Mine"),
}
