"""The public names for type checkers and editors, which cannot follow `__getattr__`."""

from keras_compress._version import __version__ as __version__
from keras_compress.analysis.bit_assignment import assign_bits as assign_bits
from keras_compress.analysis.error_analysis import analyze as analyze
from keras_compress.callbacks.accuracy_guard import AccuracyGuard as AccuracyGuard
from keras_compress.callbacks.backup import BackupAndRestore as BackupAndRestore
from keras_compress.callbacks.clustering import ClusteringCallback as ClusteringCallback
from keras_compress.callbacks.pruning import PruningCallback as PruningCallback
from keras_compress.callbacks.quantization import QuantizationCallback as QuantizationCallback
from keras_compress.callbacks.slimming import SlimmingCallback as SlimmingCallback
from keras_compress.callbacks.structural_pruning import (
    StructuralPruningCallback as StructuralPruningCallback,
)
from keras_compress.compression.apply import compress as compress
from keras_compress.compression.apply import strip as strip
from keras_compress.compression.recipe import Recipe as Recipe
from keras_compress.compression.recipe_steps import recipe_callbacks as recipe_callbacks
from keras_compress.converters.converted_model import ConvertedModel as ConvertedModel
from keras_compress.converters.keras2 import load_model as load_model
from keras_compress.converters.target_check import check as check
from keras_compress.converters.tflite import convert as convert
from keras_compress.distilling.distillation import Distillation as Distillation
from keras_compress.edge_profiles.profile import profiles as profiles
from keras_compress.errors import CompressionError as CompressionError
from keras_compress.errors import ConversionError as ConversionError
from keras_compress.evaluation.comparison import evaluate as evaluate
from keras_compress.evaluation.isolation import Isolation as Isolation
from keras_compress.exporting.micro.compressed_weights import compress_weights as compress_weights
from keras_compress.exporting.micro.firmware import build_firmware as build_firmware
from keras_compress.graph.subclassed import functional as functional
from keras_compress.post_training.batch_norm_statistics import (
    reestimate_batch_norm as reestimate_batch_norm,
)
from keras_compress.post_training.bias_correction import correct_biases as correct_biases
from keras_compress.post_training.calibration import calibrate as calibrate
from keras_compress.post_training.equalization import equalize as equalize
from keras_compress.post_training.weight_rounding import round_weights as round_weights
from keras_compress.pruning.schedules.constant_sparsity import ConstantSparsity as ConstantSparsity
from keras_compress.pruning.schedules.cosine_decay import CosineDecay as CosineDecay
from keras_compress.pruning.schedules.one_shot import OneShot as OneShot
from keras_compress.pruning.schedules.polynomial_decay import PolynomialDecay as PolynomialDecay
from keras_compress.reporting.document import report as report
from keras_compress.searching.autocompress import autocompress as autocompress
from keras_compress.searching.constraints import Constraints as Constraints
from keras_compress.searching.search import search as search
from keras_compress.shrinking.shrinking import remove_zeros as remove_zeros
from keras_compress.shrinking.shrinking import shrink as shrink
from keras_compress.shrinking.slimming import slim_prune as slim_prune
from keras_compress.spec import Clustering as Clustering
from keras_compress.spec import Pruning as Pruning
from keras_compress.spec import Quantization as Quantization
from keras_compress.support.steps import Epochs as Epochs
from keras_compress.tflite.inspection import inspect as inspect
