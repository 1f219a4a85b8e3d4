"""Read a converted file back and check that it keeps every promise."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from keras_compress.converters.checks.base import EmittedFile
from keras_compress.converters.deployment import FixedQuantizer
from keras_compress.converters.options import ConversionOptions
from keras_compress.errors import ConversionError
from keras_compress.graph.graph import all_layers
from keras_compress.layers.roles import FIXED_RANGES
from keras_compress.quantization.fake_quant import activation_grid
from keras_compress.support import plugins
from keras_compress.support.findings import Finding
from keras_compress.tflite import flatbuffer
from keras_compress.tflite.layer_names import LayerNames
from keras_compress.tflite.types import FileSource

CHECKS = "keras_compress.converters.checks"
_MOST_CHARACTERS = 460  # of a message, which ends with a sentence about what it leaves out
_SAME_SCALE = 1e-4  # relative


def read_back(
    source: FileSource,
    options: ConversionOptions,
    *,
    scopes: Mapping[str, str] | None = None,
    outputs: Iterable[str] = (),
    zeros: Iterable[Any] = (),
    kernels: Iterable[Any] = (),
) -> EmittedFile:
    """Read a file back, together with what was promised of it.

    Args:
        source: The file's bytes, its path, or a `ConvertedModel`.
        options: The `ConversionOptions` that the file was made with.
        scopes: Name scope -> layer name as recorded at export; `None` guesses.
        outputs: Names of the layers that produce the outputs, in order.
        zeros: `ExpectedZeros` of the Keras model's kernels.
        kernels: `DeployedKernel`s of a compressed model.

    Returns:
        The `EmittedFile`.

    Raises:
        FlatbufferError: The source is not a readable TFLite file.
    """
    model = flatbuffer.read(source)
    layers = tuple(
        LayerNames(graph, scopes, outputs if graph.index == 0 else ()) for graph in model.subgraphs
    )
    return EmittedFile(
        model=model, options=options, layers=layers, zeros=tuple(zeros), kernels=tuple(kernels)
    )


def verify(emitted: EmittedFile) -> list[Finding]:
    """Run every check on a file.

    Args:
        emitted: The result of `read_back`.

    Returns:
        List of `Finding`s; empty if every promise holds.
    """
    findings: list[Finding] = []
    for name in plugins.names(CHECKS):
        check = plugins.get(CHECKS, name)
        findings += check().run(emitted) if check.concerns(emitted) else []
    return findings


def require(findings: Sequence[Finding], advice: str = "") -> None:
    """Raise an error if a promise does not hold.

    Args:
        findings: The result of `verify`.
        advice: What to do about all of them together.

    Raises:
        ConversionError: There are findings; the message lists them, each with its operator,
            its Keras layer and what to do.
    """
    if not findings:
        return
    count = "one promise" if len(findings) == 1 else f"{len(findings)} promises"
    message = f"The converted file breaks {count}:\n- {findings[0]}"
    for number, finding in enumerate(findings[1:], 1):
        if len(message) + len(str(finding)) > _MOST_CHARACTERS:
            message += f"\n- and {len(findings) - number} more (see the error's `findings`)"
            break
        message += f"\n- {finding}"
    raise ConversionError(f"{message}\n{advice}".rstrip(), findings=findings)


def advice_on_learned_ranges(findings: Sequence[Finding], has_samples: bool) -> str:
    """Say what to do if conversions alone are too many in a model that has learned its ranges.

    Args:
        findings: The result of `verify`.
        has_samples: Whether the ranges that training did not learn were measured in samples.
    """
    if any(finding.code != "stray_conversion" for finding in findings):
        return ""
    if not has_samples:
        return "Training has learned no range for tensors there: pass representative_dataset."
    return "Or convert kc.strip(model) with representative_dataset=samples."


def require_learned_ranges(emitted, model):
    """Raise an error if a file converted without samples has a range that training did not learn.

    Layers that become several operators (softplus, normalisation) contain tensors whose ranges
    training does not see; without samples their ranges would be those of zeros.

    Args:
        emitted: The `EmittedFile` of the file.
        model: The deployed Keras model.

    Raises:
        ConversionError: There is such a range; the message names its layers.
    """
    ranges = [(q.minimum, q.maximum) for q in all_layers(model) if isinstance(q, FixedQuantizer)]
    scales = np.array([_scale(*ends) for ends in (*ranges, *FIXED_RANGES.values())])
    unlearned = {}
    for operator, layers in emitted.operators():
        for tensor in operator.outputs:
            if tensor.scales.size and not np.isclose(tensor.scales[0], scales, _SAME_SCALE).any():
                unlearned[layers.first(operator) or operator.name] = operator.name
    if unlearned:
        places = ", ".join(f"{layer!r} ({operator})" for layer, operator in unlearned.items())
        raise ConversionError(
            f"Training has learned no range for tensors inside layer {places}: pass "
            "representative_dataset, about a hundred samples like those of training. "
            "Received: representative_dataset=None"
        )


def _scale(minimum, maximum):
    return float(activation_grid(minimum, maximum, 8)[0])
