"""A recipe carried out without training."""

from keras_compress.callbacks.pruning_targets import CompressedTargets
from keras_compress.callbacks.training_step import compressed_layers
from keras_compress.compression.apply import compress
from keras_compress.data.model_inputs import input_specs
from keras_compress.data.reading import read
from keras_compress.post_training.batch_norm_statistics import reestimate_batch_norm
from keras_compress.post_training.calibration import calibrate
from keras_compress.post_training.weight_rounding import round_weights
from keras_compress.pruning.masks import compute_masks


def compress_without_training(model, recipe, data):
    """Carry out a recipe without training: zeros and clusters at once, ranges from samples.

    Args:
        model: A built Sequential or functional `keras.Model`; it is not changed.
        recipe: A `Recipe`.
        data: Samples in any form of docs/data.md, with labels where the recipe's criterion
            needs them.

    Returns:
        A compressed model, ready to be converted.
    """
    x, y = read(data, input_specs(model)).whole()
    compressed = compress(model, recipe=recipe, data=x if y is None else (x, y))
    return round_kernels(prune_at_once(compressed, x), recipe, x)


def prune_at_once(model, x):
    """Set the final zeros and clusters of a compressed model, and calibrate its ranges.

    Args:
        model: A compressed `keras.Model`; it is changed.
        x: Samples.

    Returns:
        The model.
    """
    for target in CompressedTargets(model).targets:
        (mask,) = compute_masks([target.prunable_weights()], target.pruning.schedule(0))
        target.set_mask(mask)
    for layer in compressed_layers(model):
        layer.begin_clustering()
    model = calibrate(model, x, method="min_max")
    if not _changes_kernels(model):
        return model
    # Calibrated again: the first ranges belong to the old statistics.
    return calibrate(reestimate_batch_norm(model, x), x, method="min_max")


def round_kernels(model, recipe, x, seed=0):
    """Round the kernels as the recipe says; a model that it rounds to nearest is unchanged.

    Args:
        model: A calibrated compressed `keras.Model`.
        recipe: A `Recipe`.
        x: Samples.
        seed: Seed of the rounding.

    Returns:
        The model.
    """
    if recipe.rounding in (None, "nearest"):
        return model
    return round_weights(model, x, recipe.rounding, seed=seed, progress=False)


def _changes_kernels(model):
    zeros = any(target.counts()[0] for target in CompressedTargets(model).targets)
    return zeros or any(layer.clustering is not None for layer in compressed_layers(model))
