"""How a recipe is carried out: the smaller model, the arguments of `compress`, the callbacks."""

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

# Fractions of the training after which sparsity is final, clusters freeze, and ranges freeze.
_PRUNED, _CLUSTERED, _FROZEN = 0.4, 0.7, 0.85
_UPDATES = 20


def smaller(
    model: keras.Model,
    recipe: Recipe,
    data: Samples | None = None,
    loss: str | Callable | None = None,
) -> keras.Model:
    """Remove the blocks and channels that a recipe removes.

    With data, the statistics of BatchNormalizations are measured again after the removal.

    Args:
        model: A built Sequential or functional `keras.Model`; it is not changed.
        recipe: A `Recipe`.
        data: As for `shrink`, for criteria that need data and for the statistics.
        loss: A Keras loss or its name, for criteria that need gradients.

    Returns:
        A `keras.Model`; `model` itself if nothing is removed.
    """
    if not recipe.removes:
        return model
    # Read the data once: each removal iterates over them, and so do the statistics.
    batches = None if data is None else Batches(data, input_specs(model))
    options = {"criterion": recipe.criterion, "data": batches, "loss": loss}
    shrunk = _removed(model, recipe, options)
    return shrunk if batches is None else reestimate_batch_norm(shrunk, (x for x, _ in batches))


def _removed(model, recipe, options):
    if recipe.blocks < 1:
        model = shrink(model, macs=recipe.blocks, granularity="layers", **options)
    options = {**options, "ranking": recipe.ranking}
    if recipe.macs < 1:
        model = shrink(model, macs=recipe.macs, **options)
    if not isinstance(recipe.channels, Mapping):
        return shrink(model, channels=recipe.channels, **options) if recipe.channels < 1 else model
    for layer, fraction in recipe.channels.items():
        excluded = _layers_to_exclude(model, layer)
        if fraction < 1 and excluded is not None:
            model = shrink(model, channels=fraction, exclude=excluded, **options)
    return model


def specs(model: keras.Model, recipe: Recipe, steps: int = 0) -> dict[str, Any]:
    """Return the arguments of `compress` for a recipe.

    Args:
        model: The model to compress, with channels already removed.
        recipe: A `Recipe`.
        steps: Number of updates of the training that follows, over which sparsity grows; 0 prunes
            at once.

    Returns:
        Dict with `pruning`, `quantization` and `clustering`.
    """
    layers = {
        call.name for call in trace(model).calls if layer_types.find(call.operation) is not None
    }
    return {
        "pruning": recipe.pruning(layers, lambda sparsity: _schedule(sparsity, steps)),
        "quantization": recipe.quantization(layers),
        "clustering": recipe.clustering(),
    }


def recipe_callbacks(
    recipe: Recipe | Mapping[str, Any] | str | os.PathLike, steps: int
) -> list[keras.callbacks.Callback]:
    """Return the callbacks that carry out a recipe in `fit`.

    Sparsity grows over the first 40 % of the updates. Then clustering and quantization begin.
    Cluster assignments freeze at 70 % of the updates, ranges and statistics at 85 %.

    Args:
        recipe: A `Recipe`, a dict of its fields, or the path of its TOML file.
        steps: Number of updates of the whole training, as given to `kc.compress`.

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
    pruned = int(_PRUNED * steps)
    # At least one batch is observed before anything freezes, however short the training.
    clustered, frozen = (max(pruned + 1, int(s * steps)) for s in (_CLUSTERED, _FROZEN))
    callbacks = []
    if recipe.prunes:
        # Each pruned layer has its own schedule; this default applies to layers without one.
        callbacks.append(PruningCallback(ConstantSparsity(0.0)))
    if recipe.clusters is not None:
        callbacks.append(ClusteringCallback(pruned, clustered))
    callbacks.append(QuantizationCallback(pruned, frozen))
    return callbacks


def _schedule(share, steps):
    end = int(_PRUNED * steps)
    if not end:
        return ConstantSparsity(share, end_step=0)
    return PolynomialDecay(share, end_step=end, frequency=max(1, end // _UPDATES))


def _layers_to_exclude(model, layer):
    """Return the layers to exclude so that only one layer shrinks; `None` if it is not there."""
    graph = DependencyGraph(model)
    groups = {group for name, members in graph.makers if name == layer for group in members}
    if not groups:
        return None
    return [name for name, members in graph.makers if not groups & set(members)]
