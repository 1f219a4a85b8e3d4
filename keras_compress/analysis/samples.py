"""Samples for an analysis, in batches of one array for each input."""

from keras_compress.converters import export
from keras_compress.data import representative_dataset

_BATCH = 16


def batches_of(model, data, samples):
    """Cut samples into batches.

    Args:
        model: A built Sequential or functional `keras.Model`.
        data: Samples in any form of docs/data.md.
        samples: Number of samples to use at most.

    Returns:
        List of batches, each a list with one array for each input, in the model's order.

    Raises:
        InvalidArgumentError: No samples, or samples that do not fit.
    """
    inputs = export.input_specs(model)
    dataset = representative_dataset.normalize(data, inputs, samples)
    arrays = [dataset.arrays[spec.name] for spec in inputs]
    return [
        [array[start : start + _BATCH] for array in arrays]
        for start in range(0, len(dataset), _BATCH)
    ]
