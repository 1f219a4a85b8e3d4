"""Conversion to float by TensorFlow, then quantization by the LiteRT quantizer."""

import dataclasses
from collections.abc import Callable

import numpy as np

from keras_compress.converters.engines.base import Engine
from keras_compress.converters.engines.tensorflow import Tensorflow, samples
from keras_compress.converters.export import ExportedModel
from keras_compress.converters.options import ConversionOptions, Mode
from keras_compress.converters.tensor_values import TensorValues
from keras_compress.converters.trained_ranges import take_ranges
from keras_compress.data.representative_dataset import RepresentativeDataset
from keras_compress.errors import ConversionError, MissingPackageError
from keras_compress.quantization.run_time_rounding import FEWEST_WEIGHTS
from keras_compress.support import process_state
from keras_compress.tflite import flatbuffer

_EVERY = "*"
_ANY_NAME = ".*"
_REPORT_EVERY = 10


class Litert(Engine):
    """Applies `ai-edge-quantizer` to the float file that TensorFlow's converter makes.

    The quantizer receives the ranges that training learned unchanged; the range of any other
    tensor is its smallest and largest value over all calibration samples. An operator without an
    integer recipe (ELU, LEAKY_RELU, PRELU, ...) stays in float, and the checks report it.

    Args:
        timeout_s: Seconds after which the conversion to float is given up. Default: an hour.

    Raises:
        InvalidArgumentError: The timeout is not above 0.

    Example:
        >>> kc.convert(model, representative_dataset=x, engine="litert")  # doctest: +SKIP
    """

    unsupported_rewrites = frozenset({"fused_lstm"})

    def __init__(self, timeout_s=3600):
        self._tensorflow = Tensorflow(timeout_s)

    def convert(
        self,
        exported: ExportedModel,
        calibration: RepresentativeDataset | None,
        options: ConversionOptions,
        progress: Callable[[int, int], None],
    ) -> bytes:
        """Convert a model; see `Engine.convert`."""
        _require_package()
        as_float = dataclasses.replace(
            options, mode=Mode.FLOAT32, input_type="float32", output_type="float32"
        )
        content = self._tensorflow.convert(exported, None, as_float, progress)
        if options.mode is Mode.FLOAT32:
            return content
        if exported.loops:
            raise ConversionError(
                "The LiteRT quantizer does not support loops: build recurrent layers with "
                "unroll=True (the weights stay the same). "
                f"Received: layers {', '.join(exported.loops)}"
            )
        if not options.is_quantized:
            return _quantize(content, None, options)
        content, learned = take_ranges(content)
        arrays = samples(exported, calibration)
        ranges = {**_observed_ranges(content, arrays, options, progress), **learned}
        return _quantize(content, ranges, options)


def _require_package():
    try:
        import ai_edge_quantizer  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(
            'The engine "litert" needs a package: pip install "keras-compress[quantizer]". '
            'Or convert with engine="tensorflow".'
        ) from error


def _observed_ranges(content, arrays, options, progress):
    """Return the (minimum, maximum) of each float activation over all samples, by name."""
    values = TensorValues(content)
    tensors = [t for t in values.activations if t.dtype.is_float]
    inputs = [arrays[name] for name in _input_names(values)]
    total, size = len(inputs[0]), options.batch_size
    low = {t.name: np.inf for t in tensors}
    high = {t.name: -np.inf for t in tensors}
    for start in range(0, total, size):
        if start // size % _REPORT_EVERY == 0:
            progress(start, total)
        # The last batch is filled up with samples from the start.
        rows = np.arange(start, start + size) % total
        arrays_by_index = values.run([array[rows] for array in inputs])
        for tensor in tensors:
            array = arrays_by_index[tensor.index]
            low[tensor.name] = min(low[tensor.name], array.min())
            high[tensor.name] = max(high[tensor.name], array.max())
    progress(total, total)
    return {name: (low[name], high[name]) for name in low}


def _input_names(values):
    """Return the signature's names of the inputs, in the order of the file."""
    (signature,) = values.model.signatures
    names = {tensor.index: name for name, tensor in signature.inputs.items()}
    return [names[tensor.index] for tensor in values.graph.inputs]


def _quantize(content, ranges, options):
    from ai_edge_quantizer import quantizer as litert

    quantizer = litert.Quantizer(bytearray(content))
    _write_recipe(quantizer, options)
    # The quantizer draws a progress bar even if told not to.
    with process_state.without_warnings(), process_state.without_stderr():
        try:
            result = quantizer.quantize(
                None if ranges is None else _statistics(content, ranges),
                enable_progress_bar=False,
                enable_progress_report=False,
            )
        except (ValueError, RuntimeError, NotImplementedError, KeyError) as error:
            raise ConversionError(
                f"The LiteRT quantizer refused the model: {error} "
                'Convert it with engine="tensorflow".'
            ) from error
    return bytes(result.quantized_model)


def _statistics(content, ranges):
    """Return ranges in the format of the quantizer's own calibration."""
    tensors = flatbuffer.read(content).subgraphs[0].tensors
    rank = {tensor.name: len(tensor.shape) for tensor in tensors}
    return {
        name: {
            end: np.full((1,) * rank[name], value, np.float32)
            for end, value in (("min", low), ("max", high))
        }
        for name, (low, high) in ranges.items()
    }


def _write_recipe(quantizer, options):
    if options.mode is Mode.FLOAT16:
        _write_float16(quantizer)
    elif options.mode is Mode.DYNAMIC_RANGE:
        _write_dynamic(quantizer, options)
    else:
        _write_static(quantizer, options)


def _write_float16(quantizer):
    from ai_edge_quantizer import qtyping
    from ai_edge_quantizer.quantizer import AlgorithmName

    half = qtyping.TensorQuantizationConfig(16, dtype=qtyping.TensorDataType.FLOAT)
    quantizer.update_quantization_recipe(
        _ANY_NAME,
        _EVERY,
        qtyping.OpQuantizationConfig(weight_tensor_config=half),
        algorithm_key=AlgorithmName.FLOAT_CASTING,
    )


def _write_dynamic(quantizer, options):
    from ai_edge_quantizer import qtyping
    from ai_edge_quantizer.qtyping import TFLOperationName

    kinds = [(_EVERY, options.per_channel)]
    if options.per_channel_dense != options.per_channel:
        kinds.append((TFLOperationName.FULLY_CONNECTED, options.per_channel_dense))
    for operator, per_channel in kinds:
        weights = qtyping.TensorQuantizationConfig(8, granularity=_granularity(per_channel))
        # The limit of TensorFlow's converter: the simulation has one rule for both engines.
        config = qtyping.OpQuantizationConfig(
            weight_tensor_config=weights,
            compute_precision=qtyping.ComputePrecision.INTEGER,
            min_weight_elements=FEWEST_WEIGHTS,
        )
        quantizer.update_quantization_recipe(_ANY_NAME, operator, config)


def _granularity(per_channel):
    from ai_edge_quantizer.qtyping import QuantGranularity

    return QuantGranularity.CHANNELWISE if per_channel else QuantGranularity.TENSORWISE


def _write_static(quantizer, options):
    from ai_edge_quantizer.qtyping import TFLOperationName

    bits = 16 if options.mode is Mode.INT16X8 else 8
    quantizer.add_static_config(_ANY_NAME, _EVERY, bits, 8, _granularity(options.per_channel))
    if options.per_channel_dense != options.per_channel:
        quantizer.add_static_config(
            _ANY_NAME,
            TFLOperationName.FULLY_CONNECTED,
            bits,
            8,
            _granularity(options.per_channel_dense),
        )
    for kind, operator in (
        (options.input_type, TFLOperationName.INPUT),
        (options.output_type, TFLOperationName.OUTPUT),
    ):
        _write_edge(quantizer, operator, kind)


def _write_edge(quantizer, operator, kind):
    """Set the type of the file's inputs or outputs, where it differs from the other tensors'."""
    from ai_edge_quantizer import qtyping
    from ai_edge_quantizer.quantizer import AlgorithmName

    if kind == "float32":
        quantizer.update_quantization_recipe(
            _ANY_NAME, operator, algorithm_key=AlgorithmName.NO_QUANTIZE
        )
    elif kind == "uint8":
        unsigned = qtyping.TensorQuantizationConfig(
            8, symmetric=False, dtype=qtyping.TensorDataType.UINT
        )
        quantizer.update_quantization_recipe(
            _ANY_NAME,
            operator,
            qtyping.OpQuantizationConfig(
                activation_tensor_config=unsigned,
                weight_tensor_config=qtyping.TensorQuantizationConfig(8),
                compute_precision=qtyping.ComputePrecision.INTEGER,
            ),
        )
