"""A grouped convolution as one convolution per group."""

from collections.abc import Callable

import keras
import numpy as np

from keras_compress.converters.rewrites.base import Rewrite, Rewritten, limit, part
from keras_compress.edge_profiles.profile import Profile
from keras_compress.graph.graph import Call

# TensorFlow writes grouped convolutions with this version of CONV_2D.
_VERSION = 6


class GroupedConvolutions(Rewrite):
    """Conv2D with groups as a split, one Conv2D per group, and a concatenation."""

    layers = (keras.layers.Conv2D,)

    def is_needed(self, profile: Profile) -> bool:
        """Return whether the version of CONV_2D that has groups is not supported."""
        version = limit(profile, "CONV_2D", "max_version")
        return version is not None and version < _VERSION

    def replacement(self, call: Call) -> Callable | None:
        """Return a function that convolves group by group."""
        layer = call.operation
        if type(layer) is not keras.layers.Conv2D or layer.groups == 1:
            return None
        shape, groups = call.inputs[0].shape, layer.groups
        kernel, *bias = layer.get_weights()
        kernels = np.split(kernel, groups, axis=-1)
        biases = [np.split(array, groups) for array in bias]
        config = {**layer.get_config(), "groups": 1, "filters": layer.filters // groups}
        config.pop("name")
        parts = [
            part(
                keras.layers.Conv2D.from_config(config),
                (*shape[:-1], shape[-1] // groups),
                [kernels[i], *(array[i] for array in biases)],
            )
            for i in range(groups)
        ]

        def convolve(inputs):
            pieces = keras.ops.split(inputs, groups, axis=-1)
            results = [conv(piece) for conv, piece in zip(parts, pieces, strict=True)]
            return keras.ops.concatenate(results, axis=-1)

        return Rewritten(convolve, parts, name=call.name)
