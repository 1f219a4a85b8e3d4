"""Ranges that training never observed, measured from the samples that a conversion gets."""

from collections.abc import Mapping

import keras
import numpy as np

from keras_compress.converters.full_precision import in_float32
from keras_compress.graph.graph import all_layers
from keras_compress.post_training.calibration import calibrate_unobserved, unobserved
from keras_compress.wrappers.phase import Phase, PhasedLayer


def any_of(model: keras.Model) -> bool:
    """Tell whether a model has ranges that training never observed, or still waits to quantize."""
    return bool(unobserved(model)) or any(layer.phase == Phase.OFF for layer in _phased(model))


def warning(model: keras.Model) -> str:
    """Say what is missing in a model and what its samples are used for."""
    missing = [quantizer.name for quantizer in unobserved(model)]
    return (
        f"{len(missing)} activation ranges of {model.name} were never observed in training, so "
        "they are measured in representative_dataset, as in quantization after training. Compare "
        "the file with kc.evaluate, or train past the begin_step of kc.QuantizationCallback. "
        f"Received: first layer without data {', '.join(missing[:1])}"
    )


def measured(model: keras.Model, samples: Mapping[str, np.ndarray]) -> keras.Model:
    """Measure the missing ranges of a model.

    Args:
        model: A compressed model; it is not changed.
        samples: Input name -> array (n_samples, *shape).

    Returns:
        A copy of the model, its quantization begun and all of its ranges set.
    """
    return calibrate_unobserved(in_float32(model), samples)


def _phased(model):
    return [q for q in all_layers(model) if isinstance(q, PhasedLayer) and q.quantizes]
