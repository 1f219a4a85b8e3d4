"""Types that several packages share: tensors, JSON objects and paths."""

import os
from typing import Any, TypeAlias

# A tensor of Keras' backend (tf.Tensor, jax.Array, torch.Tensor), a symbolic keras.KerasTensor,
# or an array, which `keras.ops` takes as well. The backends share no class.
Tensor: TypeAlias = Any
# The structure that a Keras layer takes or returns: a tensor, or a list, tuple or dict of them.
Tensors: TypeAlias = Any
# What `json.loads` returns for an object.
Json: TypeAlias = dict[str, Any]
StrPath: TypeAlias = str | os.PathLike[str]
