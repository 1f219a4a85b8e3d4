"""Choose the integers of weights after training, layer by layer, from samples."""

import keras
import numpy as np

from keras_compress.data.types import Samples
from keras_compress.errors import InvalidArgumentError
from keras_compress.post_training.bias_correction import correct_bias_of, shift_shape
from keras_compress.post_training.layerwise_outputs import collect, require_calibrated, walk
from keras_compress.post_training.rounding.base import Rounding, RoundingProblem
from keras_compress.quantization.fake_quant import weight_limit
from keras_compress.support import plugins
from keras_compress.wrappers.compressed_lstm import CompressedLstm

ROUNDINGS = "keras_compress.post_training.rounding"


def round_weights(
    model: keras.Model,
    data: Samples,
    rounding: str | Rounding = "adaround",
    *,
    correct_bias: bool = True,
    samples: int = 512,
    batch_size: int = 64,
    seed: int = 0,
    progress: bool | None = None,
) -> keras.Model:
    """Round the weights of a compressed model so that its layers keep their float outputs.

    Layers are rounded in execution order. The inputs of a layer come from the layers rounded so
    far, its target outputs from the float model. The chosen integers are stored in the kernels,
    and their scales are fixed from then on, so that saved models, `kc.strip` and `kc.convert` keep
    them. Layers whose quantizer has no grid of equal steps (`lloyd_max`, powers of two), or whose
    weights are clustered, and LSTMs keep their own rounding.

    Args:
        model: A model that `kc.compress` returned, after `kc.calibrate`. It is changed in place.
        data: Samples as for `kc.calibrate`. Labels are not needed.
        rounding: Name or instance of a rounding: `"adaround"`, `"gptq"`, `"nearest"`.
        correct_bias: Whether to correct the remaining mean error in each layer's bias before the
            next layer is rounded, as `kc.correct_biases` does. Default true.
        samples: Maximum number of samples. Default 512. The inputs and outputs of one layer for
            all samples are held in memory.
        batch_size: Samples in a batch, for data that are not batched already. Default 64.
        seed: Seed of the samples that each update draws.
        progress: Whether to show a bar; `None` shows it on a terminal.

    Returns:
        The same model.

    Raises:
        InvalidArgumentError: The model is not quantized or not calibrated, or there are no data.
        UnknownNameError: No rounding has that name.

    Example:
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
        >>> model = kc.compress(model, quantization=kc.Quantization(weight_bits=4))
        >>> x = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
        >>> model = kc.round_weights(kc.calibrate(model, x), x, rounding="gptq")
    """
    method = plugins.resolve(ROUNDINGS, rounding, Rounding)
    require_calibrated(model, "round_weights")
    batches = collect(model, data, samples, batch_size)

    def visit(site):
        shift = shift_shape(site.wrapper) if correct_bias else None
        if _has_free_grid(site.wrapper):
            _round(site, method, shift, seed)
        if shift is not None:
            correct_bias_of(site)

    walk(model, batches, visit, progress)
    return model


def _has_free_grid(wrapper):
    # Outputs of an LSTM are no sum that the rounding of a weight adds to.
    if isinstance(wrapper, CompressedLstm):
        return False
    return wrapper.quantization.quantizer.uniform and wrapper.clustering is None


def _round(site, method, shift, seed):
    wrapper = site.wrapper
    for kernel in wrapper.kernels:
        problem, factor = _problem(site, kernel, shift, seed)
        integers = method.integers(problem)
        _check(integers, problem, method)
        wrapper.fix_scale(kernel, problem.scale)
        wrapper.variable(kernel).assign(integers * problem.scale / factor)


def _problem(site, kernel, shift, seed):
    wrapper = site.wrapper
    factor = wrapper.folding_factor(kernel)
    factor = 1.0 if factor is None else np.asarray(factor)
    variable = wrapper.variable(kernel)
    bits = wrapper.quantization.quantizer.stored_bits(wrapper.weight_bits)

    def call(weights, shift, inputs):
        with site.unfused(), keras.StatelessScope(state_mapping=[(variable, weights / factor)]):
            outputs = wrapper.layer(inputs)
        if wrapper.batch_norm is not None:
            outputs = wrapper.batch_norm(outputs, training=False)
        return site.activate(outputs + shift)

    problem = RoundingProblem(
        weights=keras.ops.convert_to_numpy(wrapper.masked_kernel(kernel)) * factor,
        scale=keras.ops.convert_to_numpy(wrapper.scale(kernel)),
        limit=weight_limit(bits),
        inputs=np.concatenate(site.inputs),
        targets=np.concatenate(site.float_outputs()),
        call=call,
        layer=wrapper.layer,
        matrix=wrapper.layer_type.matrix_form(wrapper.layer),
        shift_shape=shift,
        seed=seed,
    )
    return problem, factor


def _check(integers, problem, method):
    on_grid = np.array_equal(integers, np.round(integers))
    if not on_grid or np.abs(integers).max(initial=0) > problem.limit:
        raise InvalidArgumentError(
            f"A rounding must return integers from {-problem.limit} to {problem.limit}. "
            f"Received: other values from {type(method).__name__}"
        )
