"""Collects findings about a file on a target: the problem, its layer and its remedy."""

from keras_compress.edge_profiles.diagnoses import (
    inputs_outputs,
    number_formats,
    operators,
    ranges,
    speed,
    weights,
)
from keras_compress.edge_profiles.diagnoses.budgets import budgets
from keras_compress.edge_profiles.diagnoses.case import Case
from keras_compress.edge_profiles.target_finding import Severity

# In the order in which findings of the same severity are reported.
_OF_EVERY_GRAPH = (
    number_formats.float_file,
    number_formats.wide_activations,
    number_formats.float_islands,
    operators.refused_operators,
)
_OF_THE_FIRST_GRAPH = (
    inputs_outputs.dynamic_inputs,
    inputs_outputs.types_of_ends,
    weights.per_channel_dense,
    weights.narrow_weights,
    ranges.dead_ranges,
    weights.streamed_weights,
    speed.slow_kernels,
    speed.padded_channels,
)
_ORDER = list(Severity)


def diagnose(model, profile, placed, names, sram_bytes):
    """Return the findings about a file on a target.

    Args:
        model: A `keras_compress.tflite.flatbuffer.Model`.
        profile: A `Profile`.
        placed: The placements of each subgraph.
        names: For each subgraph, a function from operator to the name of its Keras layer.
        sram_bytes: The estimated arena.

    Returns:
        Tuple of `TargetFinding`, the most severe first, then in the order of execution.
    """
    findings = [*budgets(model, profile, sram_bytes)]
    for graph, placements, layer_of in zip(model.subgraphs, placed, names, strict=True):
        case = Case(graph, profile, placements, layer_of)
        encoded = [*weights.encoded_weights(case)]
        if encoded:
            # Any other problem follows from this one.
            findings += encoded
            continue
        diagnoses = (*_OF_EVERY_GRAPH, *(_OF_THE_FIRST_GRAPH if graph.index == 0 else ()))
        findings += [finding for examine in diagnoses for finding in examine(case)]
    findings.sort(key=lambda finding: (_ORDER.index(finding.severity), finding.index or 0))
    return tuple(findings)
