"""One graph on one target, which every diagnosis examines."""

import functools

from keras_compress.edge_profiles.operator_mapping import Where
from keras_compress.edge_profiles.target_finding import Severity, TargetFinding
from keras_compress.tflite import structure
from keras_compress.tflite.model import Operator
from keras_compress.tflite.structure import Kind


class Case:
    """One graph on one target.

    Args:
        graph: A `keras_compress.tflite.flatbuffer.Subgraph`.
        profile: A `Profile`.
        placements: Where its operators execute, in their order.
        layer_of: Function from operator to the name of its Keras layer, or `None`.
    """

    def __init__(self, graph, profile, placements, layer_of):
        self.graph, self.profile, self.placements = graph, profile, placements
        self.layer_of = layer_of
        self.structure = structure.read(graph)
        self.shape_operators = structure.shape_operators(graph)

    @property
    def is_float(self):
        """Whether the graph computes in float throughout."""
        return self.structure.kind is not Kind.INTEGER

    @functools.cached_property
    def is_too_wide(self):
        """Whether most outputs are 16-bit integers and the target supports 8-bit ones only."""
        outputs = (tensor for op in self.graph.operators for tensor in op.outputs[:1])
        bits = [tensor.dtype.bits for tensor in outputs if tensor.scales.size]
        width = max(set(bits), key=bits.count) if bits else None
        return width == 16 and 16 not in self.profile.activation_bits_supported

    @functools.cached_property
    def island_of(self):
        """Operator index -> the float island that the operator belongs to."""
        return {op.index: island for island in self.structure.islands for op in island}

    @functools.cached_property
    def unsupported_in(self):
        """Layer -> its first operator that the target's table does not have."""
        unsupported = (p for p in self.placements if p.reasons and p.reasons[0][0] == "unsupported")
        first: dict[str, Operator] = {}
        for placed in unsupported:
            layer = self.layer_of(placed.operator)
            if layer is not None:
                first.setdefault(layer, placed.operator)
        return first

    @property
    def total_macs(self):
        """Multiply-accumulate operations of the whole graph."""
        return sum(placed.macs for placed in self.placements)

    def mapped(self):
        """Return the placements on the target's engine."""
        return [placed for placed in self.placements if placed.where is Where.ENGINE]

    def finding(self, code, severity, message, fix, operator=None):
        """Return a `TargetFinding`, about an operator or about the whole graph."""
        about = {}
        if operator is not None:
            layer = self.layer_of(operator)
            about = {"operator": operator.name, "index": operator.index, "layer": layer}
        return TargetFinding(code=code, severity=severity, message=message, fix=fix, **about)

    def severity(self, operators):
        """Return the worst severity among some operators on this target."""
        where = {self.placements[op.index].where for op in operators}
        if Where.NOWHERE in where:
            return Severity.ERROR
        return Severity.FALLBACK if Where.FALLBACK in where else Severity.WARNING
