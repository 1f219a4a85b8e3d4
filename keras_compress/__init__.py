"""Compress Keras 3 models for the edge: prune and quantize in `fit`, convert, check, evaluate.

The public names are loaded when they are first used (PEP 562), so that importing the package
imports neither TensorFlow nor Keras: a board that only evaluates files needs neither.
"""

import importlib
import sys

from keras_compress._version import __version__ as __version__

_HOMES = {
    "AccuracyGuard": "keras_compress.callbacks.accuracy_guard",
    "BackupAndRestore": "keras_compress.callbacks.backup",
    "Clustering": "keras_compress.spec",
    "ClusteringCallback": "keras_compress.callbacks.clustering",
    "CompressionError": "keras_compress.errors",
    "ConstantSparsity": "keras_compress.pruning.schedules.constant_sparsity",
    "Constraints": "keras_compress.searching.constraints",
    "ConversionError": "keras_compress.errors",
    "ConvertedModel": "keras_compress.converters.converted_model",
    "CosineDecay": "keras_compress.pruning.schedules.cosine_decay",
    "Distillation": "keras_compress.distilling.distillation",
    "Epochs": "keras_compress.support.steps",
    "Isolation": "keras_compress.evaluation.isolation",
    "OneShot": "keras_compress.pruning.schedules.one_shot",
    "PolynomialDecay": "keras_compress.pruning.schedules.polynomial_decay",
    "Pruning": "keras_compress.spec",
    "PruningCallback": "keras_compress.callbacks.pruning",
    "Quantization": "keras_compress.spec",
    "QuantizationCallback": "keras_compress.callbacks.quantization",
    "Recipe": "keras_compress.compression.recipe",
    "SlimmingCallback": "keras_compress.callbacks.slimming",
    "StructuralPruningCallback": "keras_compress.callbacks.structural_pruning",
    "analyze": "keras_compress.analysis.error_analysis",
    "assign_bits": "keras_compress.analysis.bit_assignment",
    "autocompress": "keras_compress.searching.autocompress",
    "build_firmware": "keras_compress.exporting.micro.firmware",
    "calibrate": "keras_compress.post_training.calibration",
    "check": "keras_compress.converters.target_check",
    "compress": "keras_compress.compression.apply",
    "compress_weights": "keras_compress.exporting.micro.compressed_weights",
    "convert": "keras_compress.converters.tflite",
    "correct_biases": "keras_compress.post_training.bias_correction",
    "equalize": "keras_compress.post_training.equalization",
    "evaluate": "keras_compress.evaluation.comparison",
    "functional": "keras_compress.graph.subclassed",
    "inspect": "keras_compress.tflite.inspection",
    "load_model": "keras_compress.converters.keras2",
    "profiles": "keras_compress.edge_profiles.profile",
    "recipe_callbacks": "keras_compress.compression.recipe_steps",
    "reestimate_batch_norm": "keras_compress.post_training.batch_norm_statistics",
    "remove_zeros": "keras_compress.shrinking.shrinking",
    "report": "keras_compress.reporting.document",
    "round_weights": "keras_compress.post_training.weight_rounding",
    "search": "keras_compress.searching.search",
    "shrink": "keras_compress.shrinking.shrinking",
    "slim_prune": "keras_compress.shrinking.slimming",
    "strip": "keras_compress.compression.apply",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module 'keras_compress' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return __all__


if "keras" in sys.modules:
    # keras.models.load_model then knows the classes that our .keras files name.
    importlib.import_module("keras_compress.serialization")
