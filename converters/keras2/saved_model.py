"""Read SavedModel folders that Keras 2 wrote, as data: no code in them is run.

`keras_metadata.pb` holds the configuration of every layer; the checkpoint's object graph leads
from a layer to its variables.
"""

import json
import os

import numpy as np

from keras_compress.converters.keras2 import model_config
from keras_compress.converters.keras2.keras2_model import Keras2Model
from keras_compress.errors import InvalidArgumentError, UnsupportedModelError

_METADATA = "keras_metadata.pb"
_LARGEST_SHIFT = 56


def read(folder):
    """Read the Keras model that a SavedModel was written from.

    Args:
        folder: A folder with `saved_model.pb`, `keras_metadata.pb` and `variables`.

    Returns:
        A `Keras2Model`.

    Raises:
        UnsupportedModelError: The folder holds no Keras model, or a subclassed one.
        InvalidArgumentError: A file in the folder is damaged.
    """
    path = os.path.join(folder, _METADATA)
    if not os.path.isfile(path):
        raise UnsupportedModelError(
            "This SavedModel holds TensorFlow functions and no Keras layers: it has no "
            f"{_METADATA}, which Keras 2's model.save(folder) writes and export() does not. Save "
            "the original model as .keras or .h5 and pass that. If you only have this folder, "
            "tf.lite.TFLiteConverter.from_saved_model(folder) converts it, and kc.check and "
            f"kc.evaluate accept the resulting file. Received: {folder!r}"
        )
    try:
        with open(path, "rb") as file:
            nodes = dict(_nodes(file.read()))
        root = nodes[0]
        model_config.check_depth(root, f"the SavedModel {folder!r}")
        if "config" not in root or root.get("class_name") not in (
            "Functional",
            "Sequential",
            "Model",
        ):
            raise UnsupportedModelError(
                "A subclassed model has no graph of layers that could be rebuilt. Write it as a "
                "functional model and save that. "
                f"Received: {folder!r}, of class {root.get('class_name')!r}"
            )
        weights = _weights(folder, nodes)
    except InvalidArgumentError:
        raise
    except (KeyError, ValueError, IndexError, TypeError, OSError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InvalidArgumentError(
            f"The SavedModel is damaged: {reason} Received: {folder!r}"
        ) from error
    config = {"class_name": root["class_name"], "config": root["config"]}
    return Keras2Model(config=config, weights=weights, origin=f"the SavedModel {folder!r}")


def _weights(folder, nodes):
    """Return the weights of each top-level layer of the model."""
    import tensorflow as tf
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    try:
        reader = tf.train.load_checkpoint(os.path.join(folder, "variables", "variables"))
        graph = trackable_object_graph_pb2.TrackableObjectGraph()
        graph.ParseFromString(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
    except Exception as error:
        # TensorFlow and protobuf raise errors of their own types for each kind of damage.
        raise ValueError(f"its variables cannot be read: {error}") from error
    children = [
        {child.local_name: child.node_id for child in node.children} for node in graph.nodes
    ]
    weights: dict[str, list[tuple[str, np.ndarray]]] = {}
    for name, node in children[0].items():
        if not name.startswith("layer-") or node not in nodes:
            continue
        variables = children[children[node]["variables"]] if "variables" in children[node] else {}
        layer_weights = weights[nodes[node]["name"]] = []
        for number in sorted(variables, key=int):
            (attribute,) = graph.nodes[variables[number]].attributes
            array = reader.get_tensor(attribute.checkpoint_key)
            layer_weights.append((attribute.full_name, array))
    return weights


def _nodes(content):
    """Yield (node number, metadata) of each object that `keras_metadata.pb` describes."""
    for field, entry in _fields(content):
        if field == 1:
            values = dict(_fields(entry))
            yield values.get(2, 0), json.loads(values.get(5, b"{}"), object_hook=_sequence)


def _sequence(value):
    """Return tuples and shapes, which Keras 2 writes in forms of its own, as lists."""
    return value["items"] if value.get("class_name") in ("__tuple__", "TensorShape") else value


def _fields(content):
    """Yield (field number, value) of a protocol buffer message of integers and bytes only."""
    place = 0
    while place < len(content):
        key, place = _varint(content, place)
        value, place = _varint(content, place)
        if key & 7 == 2:
            if place + value > len(content):
                raise ValueError(f"{_METADATA} ends too early")
            value, place = content[place : place + value], place + value
        elif key & 7:
            raise ValueError(f"{_METADATA} has a field of unknown type")
        yield key >> 3, value


def _varint(content, place):
    value = shift = 0
    while content[place] & 128:
        if shift > _LARGEST_SHIFT:
            raise ValueError(f"{_METADATA} has a number of more than 64 bits")
        value |= (content[place] & 127) << shift
        shift, place = shift + 7, place + 1
    return value | content[place] << shift, place + 1
