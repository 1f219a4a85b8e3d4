"""Where the error of a quantized model comes from: `kc.analyze`."""

import keras

from keras_compress.analysis import sensitivity as layer_sensitivity
from keras_compress.analysis.converted_file import ConvertedFile
from keras_compress.analysis.integer_differences import IntegerDifferences
from keras_compress.analysis.intermediate_outputs import ObservableModel
from keras_compress.analysis.layer_statistics import LayerStatistics
from keras_compress.analysis.observed import Observed
from keras_compress.analysis.quantized_form import QuantizedForm
from keras_compress.analysis.result import Analysis, Cause
from keras_compress.analysis.samples import batches_of
from keras_compress.analysis.simulated_model import SimulatedModel, float_kernels
from keras_compress.compression.apply import strip
from keras_compress.converters.tensor_values import Kernels
from keras_compress.data.types import Samples
from keras_compress.errors import InvalidArgumentError
from keras_compress.graph.graph import all_layers
from keras_compress.post_training.calibration import calibrate
from keras_compress.spec import Quantization
from keras_compress.support import plugins
from keras_compress.tflite.types import FileSource
from keras_compress.wrappers.compressed_layer import CompressedLayer

CAUSES = "keras_compress.analysis.causes"
_SENSITIVITY_BATCHES = 2


def analyze(
    model: keras.Model,
    converted: FileSource | None = None,
    data: Samples | None = None,
    *,
    simulated: keras.Model | None = None,
    samples: int = 64,
    kernels: str = Kernels.BUILTIN,
    sensitivity: bool = True,
) -> Analysis:
    """Find out which layers of a quantized model lose accuracy, and why.

    Each tensor that the file holds is compared with the float model's, in the fake-quantized
    Keras model and in the file itself, run in LiteRT with all tensors kept. Each layer is rounded
    alone, and left in float alone. Causes are ranked by the bits of resolution that they cost. With
    the compressed model behind the file, its integers are compared with the file's too.

    Args:
        model: The float model, a built Sequential or functional `keras.Model`; or a compressed
            one, which is compared with itself in float.
        converted: The `ConvertedModel`, the bytes or the path of a `.tflite`; `None` analyzes the
            simulation alone.
        data: Samples like those the model sees in use: an array (n_samples, *shape), a list or dict
            of arrays (several inputs), or any other form of docs/data.md.
        simulated: The compressed model behind the file. Default: `model` where it is compressed,
            else an int8 copy calibrated on `data`.
        samples: Number of samples to use at most.
        kernels: Which kernels of LiteRT run the file: `"builtin"`, `"reference"` or `"xnnpack"`.
        sensitivity: Whether to round layers one by one, which takes two passes a layer.

    Returns:
        An `Analysis`: printed it names the likely causes and shows a table of layers.

    Raises:
        InvalidArgumentError: No data, data that do not fit, or a model that is not compressed as
            `simulated`.
        UnsupportedModelError: The model has no graph.

    Example:
        >>> print(kc.analyze(model, converted, x_test[:64]))  # doctest: +SKIP
    """
    plain, simulated = _models(model, simulated)
    reference = ObservableModel.of(plain, Quantization())
    batches = batches_of(plain, data, samples)
    observed = _observe(reference, batches)
    weights = float_kernels(reference)
    is_trained = simulated is not None
    if simulated is None:
        simulated = ObservableModel.of(plain, Quantization(calibrator="min_max")).model
        calibrate(simulated, lambda: (_structured(simulated, batch) for batch in batches))
    outputs = reference.intermediate_outputs
    simulation, file = SimulatedModel(ObservableModel(simulated), outputs, observed), None
    if converted is not None:
        file = ConvertedFile(converted, outputs, observed, kernels)
    compared = (simulation,) if file is None else (simulation, file)
    differences = None
    if file is not None and is_trained:
        differences = IntegerDifferences(simulation.observable, file)
    mse = _compare(reference, compared, batches, differences)
    statistics = [side.statistics(weights) for side in compared]
    return Analysis(
        samples=sum(len(batch[0]) for batch in batches),
        kernels=None if file is None else str(Kernels(kernels)),
        output_mse=mse,
        rows=tuple(row for found in statistics for row in found.rows()),
        sensitivity=layer_sensitivity.measure(simulation.observable, batches[:_SENSITIVITY_BATCHES])
        if sensitivity
        else (),
        causes=ranked_causes(statistics[-1]),
        integers=() if differences is None else differences.results(),
        node_ids={} if file is None else file.node_ids(),
    )


def ranked_causes(statistics: LayerStatistics) -> tuple[Cause, ...]:
    """Return the likely causes of error, the worst first.

    Args:
        statistics: `LayerStatistics` of one quantized model.

    Returns:
        Tuple of `Cause`. A calibration that does not fit the inputs comes first whatever it costs:
        it spoils every range after them.
    """
    causes = []
    for name in plugins.names(CAUSES):
        causes += plugins.get(CAUSES, name)().find(statistics)
    causes.sort(key=lambda cause: (cause.code != "calibration_mismatch", -cause.bits_lost))
    return tuple(causes)


def _models(model, simulated):
    if _is_compressed(model):
        return strip(model), simulated or model
    if simulated is not None and not _is_compressed(simulated):
        raise InvalidArgumentError(
            "simulated must be a model that kc.compress returned, with quantization. "
            f"Received: {simulated!r}"
        )
    return model, simulated


def _is_compressed(model):
    layers = all_layers(model) if isinstance(model, keras.Model) else ()
    return any(isinstance(layer, CompressedLayer) and layer.quantization for layer in layers)


def _structured(model, batch):
    return batch[0] if len(model.inputs) == 1 else batch


def _observe(reference, batches):
    observed = [Observed() for _ in reference.intermediate_outputs]
    reference.set_phases(())
    for batch in batches:
        for seen, values in zip(observed, reference.values(batch), strict=True):
            seen.add(values)
    return observed


def _compare(reference, compared, batches, differences):
    """Run both sides on every batch; return the mean squared error of the outputs by source."""
    simulated, *files = compared
    sides = ("reference", QuantizedForm.SIMULATED, QuantizedForm.FILE)
    outputs: dict[str, list] = {side: [] for side in sides}
    reference.set_phases(())
    for batch in batches:
        floats, answers = reference.values_and_outputs(batch)
        outputs["reference"].append(answers)
        outputs[QuantizedForm.SIMULATED].append(simulated.add(batch, floats))
        for file in files:
            run = file.run(batch)
            file.add(run, floats)
            outputs[QuantizedForm.FILE].append(file.outputs(run))
            if differences is not None:
                differences.add(batch, run)
    return {
        str(source): layer_sensitivity.output_mse(outputs["reference"], outputs[source])
        for source in (QuantizedForm.SIMULATED, QuantizedForm.FILE)
        if outputs[source]
    }
