"""What a recipe means: a smaller model, what `compress` puts into it, and what `fit` is told."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import keras

from keras_compress.callbacks.clustering import ClusteringCallback
from keras_compress.callbacks.pruning import PruningCallback
from keras_compress.callbacks.quantization import QuantizationCallback
from keras_compress.compression.recipe import Recipe
from keras_compress.data.labelled_batches import Batches
from keras_compress.data.model_inputs import input_specs
from keras_compress.data.types import Samples
from keras_compress.errors import InvalidArgumentError
from keras_compress.graph.graph import trace
from keras_compress.layers import base as layer_types
from keras_compress.post_training.batch_norm_statistics import reestimate_batch_norm
from keras_compress.pruning.schedules.constant_sparsity import ConstantSparsity
from keras_compress.pruning.schedules.polynomial_decay import PolynomialDecay
from keras_compress.shrinking.dependency_graph import DependencyGraph
from keras_compress.shrinking.shrinking import shrink

# Shares of a training: zeros have grown, clusters are fixed, ranges and statistics are fixed.
_GROWN, _CLUSTERED, _FROZEN = 0.4, 0.7, 0.85
_UPDATES = 20


def smaller(
    model: keras.Model,
    recipe: Recipe,
    data: Samples | None = None,
    loss: str | Callable | None = None,
) -> keras.Model:
    """Remove the blocks and channels that a recipe removes.

    With data the statistics of BatchNormalizations are measured again behind what was removed.

    Args:
        model: A built Sequential or functional `keras.Model`; it is not changed.
        recipe: A `Recipe`.
        data: As for `shrink`, for criteria that look at data and for the statistics.
        loss: A Keras loss or its name, for criteria that take gradients.

    Returns:
        A `keras.Model`; the one handed in where nothing is removed.
    """
    if not recipe.removes:
        return model
    # Read once: each removal and the statistics go through them again.
    batches = None if data is None else Batches(data, input_specs(model))
    left = _removed(model, recipe, {"criterion": recipe.criterion, "data": batches, "loss": loss})
    return left if batches is None else reestimate_batch_norm(left, (x for x, _ in batches))


def _removed(model, recipe, options):
    if recipe.blocks < 1:
        model = shrink(model, macs=recipe.blocks, granularity="layers", **options)
    options = {**options, "ranking": recipe.ranking}
    if recipe.macs < 1:
        model = shrink(model, macs=recipe.macs, **options)
    if not isinstance(recipe.channels, Mapping):
        return shrink(model, channels=recipe.channels, **options) if recipe.channels < 1 else model
    for layer, share in recipe.channels.items():
        others = _others(model, layer)
        if share < 1 and others is not None:
            model = shrink(model, channels=share, exclude=others, **options)
    return model


def specs(model: keras.Model, recipe: Recipe, steps: int = 0) -> dict[str, Any]:
    """Return the arguments of `compress` that a recipe stands for.

    Args:
        model: The model to be compressed, channels removed.
        recipe: A `Recipe`.
        steps: Updates of the training to come, over which zeros grow; 0 for all at once.

    Returns:
        Dict with `pruning`, `quantization` and `clustering`.
    """
    layers = {
        call.name for call in trace(model).calls if layer_types.find(call.operation) is not None
    }
    return {
        "pruning": recipe.pruning(layers, lambda share: _schedule(share, steps)),
        "quantization": recipe.quantization(layers),
        "clustering": recipe.clustering(),
    }


def recipe_callbacks(
    recipe: Recipe | Mapping[str, Any] | str | os.PathLike, steps: int
) -> list[keras.callbacks.Callback]:
    """Return the callbacks that carry out a recipe in `fit`.

    Zeros grow over the first 40 % of the updates, then weights are clustered and quantized; from
    85 % on, ranges and statistics stand still. Clusters are fixed from 70 % on.

    Args:
        recipe: A `Recipe`, a dict of its fields, or the path of its TOML file.
        steps: Updates of the whole training, as `kc.compress` was told.

    Returns:
        List of callbacks.

    Raises:
        InvalidArgumentError: Fewer than 1 step.

    Example:
        >>> [type(c).__name__ for c in kc.recipe_callbacks(kc.Recipe(sparsity=0.5), 100)]
        ['PruningCallback', 'QuantizationCallback']
    """
    recipe = Recipe.of(recipe)
    if steps < 1:
        raise InvalidArgumentError(f"steps must be 1 or more. Received: steps={steps!r}")
    grown = int(_GROWN * steps)
    # At least one batch is seen before anything is fixed, however short the training.
    clustered, frozen = (max(grown + 1, int(s * steps)) for s in (_CLUSTERED, _FROZEN))
    callbacks = []
    if recipe.prunes:
        # Each layer has a schedule of its own; this one is for layers that have none.
        callbacks.append(PruningCallback(ConstantSparsity(0.0)))
    if recipe.clusters is not None:
        callbacks.append(ClusteringCallback(grown, clustered))
    callbacks.append(QuantizationCallback(grown, frozen))
    return callbacks


def _schedule(share, steps):
    end = int(_GROWN * steps)
    if not end:
        return ConstantSparsity(share, end_step=0)
    return PolynomialDecay(share, end_step=end, frequency=max(1, end // _UPDATES))


def _others(model, layer):
    """Name the layers whose channels stay while those of one are removed; `None` without it."""
    graph = DependencyGraph(model)
    groups = {group for name, members in graph.makers if name == layer for group in members}
    if not groups:
        return None
    return [name for name, members in graph.makers if not groups & set(members)]
