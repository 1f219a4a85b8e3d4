"""Turns where operators execute into findings: what is the matter, in which layer, what to do."""

import math

from keras_compress.edge_profiles import structure
from keras_compress.edge_profiles.limits import _operands
from keras_compress.edge_profiles.placement import Where
from keras_compress.edge_profiles.remedies import remedy
from keras_compress.edge_profiles.structure import Kind
from keras_compress.edge_profiles.target_finding import Severity, TargetFinding

_INTEGER_FIX = (
    "Convert to full integer with a representative dataset: "
    "kc.convert(model, profile={name!r}, representative_dataset=x)."
)
_CODES = {
    "hybrid": "dynamic_range",
    "input_types": "unsupported_type",
    "max_version": "operator_version",
    "types": "unsupported_type",
    "unsupported": "unsupported_operator",
    "weight_types": "unsupported_weight_type",
}
_TYPE_LIMITS = ("types", "input_types", "hybrid", "weight_types", "quantized")
_ORDER = list(Severity)
# The steps of a range of 0.00003: no layer that computes anything has so little.
_DEAD = 1e-7
# Below these shares a loss is not worth a word.
_WASTE_WORTH_TELLING = 0.1
_SLOW_WORTH_TELLING = 0.05


def diagnose(model, profile, placed, names, sram_bytes):
    """List what is the matter with a file on a target.

    Args:
        model: A `keras_compress.converters.flatbuffer.Model`.
        profile: A `Profile`.
        placed: For each subgraph its placements.
        names: For each subgraph a function from operator to Keras layer.
        sram_bytes: The estimated arena.

    Returns:
        Tuple of `TargetFinding`, the gravest first, then in the order of execution.
    """
    findings = [*_budgets(model, profile, sram_bytes)]
    for graph, placements, layer_of in zip(model.subgraphs, placed, names, strict=True):
        doctor = _Doctor(graph, profile, placements, layer_of)
        findings += doctor.findings(is_main=graph.index == 0)
    findings.sort(key=lambda finding: (_ORDER.index(finding.severity), finding.index or 0))
    return tuple(findings)


def _budgets(model, profile, sram_bytes):
    flash_bytes = len(model.content)
    if profile.flash_bytes is not None and flash_bytes > profile.flash_bytes:
        yield TargetFinding(
            code="flash_over_budget",
            severity=Severity.ERROR,
            message=f"The file has {flash_bytes:,} bytes; the profile leaves "
            f"{profile.flash_bytes:,} for it in flash.",
            fix="Remove channels (kc.shrink), prune or use fewer bits, or give your own board's "
            f'flash_bytes in a profile with extends = "{profile.name}".',
        )
    if profile.sram_bytes is not None and sram_bytes > profile.sram_bytes:
        yield TargetFinding(
            code="sram_over_budget",
            severity=Severity.ERROR,
            message=f"The tensor arena is estimated at {sram_bytes:,} bytes; the profile leaves "
            f"{profile.sram_bytes:,} for it.",
            fix="Shrink the largest feature maps (smaller input, earlier strides, fewer channels "
            f"at the start), or give your own sram_bytes in a profile with extends = "
            f'"{profile.name}".',
        )


def _activation_bits(graph):
    """The width of the integers that most operators make; `None` where none makes integers."""
    bits = [op.outputs[0].dtype.bits for op in graph.operators if op.outputs[0].scales.size]
    return max(set(bits), key=bits.count) if bits else None


def _has_dense_scales(placed):
    """Whether a Dense kernel has several scales, and its placement does not tell so already."""
    if placed.operator.name != "FULLY_CONNECTED":
        return False
    told = any(limit == "per_channel" for limit, _ in placed.reasons)
    return _operands.weights(placed.operator).scales.size > 1 and not told


class _Doctor:
    """Looks at one graph on one target."""

    def __init__(self, graph, profile, placements, layer_of):
        self._graph, self._profile, self._placements = graph, profile, placements
        self._layer_of = layer_of
        self._structure = structure.read(graph)
        self._shapes = structure.shape_operators(graph)
        self._width = _activation_bits(graph)

    def findings(self, is_main):
        """Return the findings of the graph; some concern a file's first graph only."""
        found = [*self._whole(), *self._too_wide(), *self._islands(), *self._operators()]
        if is_main:
            found += [
                *self._dynamic(),
                *self._types_of_ends(),
                *self._per_channel_dense(),
                *self._narrow_weights(),
                *self._dead_ranges(),
                *self._streamed(),
                *self._slow(),
                *self._padded_channels(),
            ]
        return found

    def _finding(self, code, severity, message, fix, operator=None):
        about = {}
        if operator is not None:
            layer = self._layer_of(operator)
            about = {"operator": operator.name, "index": operator.index, "layer": layer}
        return TargetFinding(code=code, severity=severity, message=message, fix=fix, **about)

    def _severity(self, operators):
        """The gravest that happens to the operators on this target."""
        where = {self._placements[op.index].where for op in operators}
        if Where.NOWHERE in where:
            return Severity.ERROR
        return Severity.FALLBACK if Where.FALLBACK in where else Severity.WARNING

    @property
    def _is_float(self):
        return self._structure.kind is not Kind.INTEGER

    def _whole(self):
        """A file that computes in float throughout, where integers are meant."""
        if not self._is_float or self._profile.float_ops:
            return
        dynamic = self._structure.kind is Kind.DYNAMIC_RANGE
        severity = self._severity(self._graph.operators)
        if self._profile.integer_only:
            severity = Severity.ERROR
        what = "has integer weights but computes in float (dynamic range)" if dynamic else ""
        yield self._finding(
            "dynamic_range" if dynamic else "float_model",
            severity,
            f"The file {what or 'computes in float'}; {self._profile.engine} is meant for "
            f"{self._profile.input_type}.",
            _INTEGER_FIX.format(name=self._profile.name),
        )

    @property
    def _is_too_wide(self):
        return self._width == 16 and 16 not in self._profile.activation_bits_supported

    def _too_wide(self):
        """16-bit activations on a target that has 8-bit ones only."""
        if self._is_too_wide and not self._is_float:
            yield self._finding(
                "activation_bits",
                self._severity(self._graph.operators),
                f"The file has 16-bit activations, which {self._profile.engine} does not take.",
                "Convert with activation_bits=8.",
            )

    def _islands(self):
        for island in () if self._profile.float_ops else self._structure.islands:
            inner = [op for op in island if op.name not in ("QUANTIZE", "DEQUANTIZE")]
            chain = ", ".join(op.name for op in island)
            yield self._finding(
                "float_island",
                self._severity(island),
                f"{len(inner)} operator{'s' if len(inner) > 1 else ''} inside the integer file "
                f"compute{'' if len(inner) > 1 else 's'} in float: {chain}.",
                remedy(inner[0].name),
                inner[0],
            )

    def _operators(self):
        """Operators that the engine does not take, one finding for each kind in each layer."""
        skipped = {op.index for island in self._structure.islands for op in island}
        told = set()
        cut = self._first_unmapped()
        if cut is not None:
            yield self._cut(cut)
        for placed in self._placements:
            op = placed.operator
            if not placed.reasons or placed.reasons[0][0] == "behind" or op.index in skipped:
                continue
            shapes = op.index in self._shapes
            kind = "shapes" if shapes else (op.name, placed.reasons[0][0])
            key = (kind, self._layer_of(op))
            if key in told or placed is cut or self._is_told(placed):
                continue
            told.add(key)
            yield self._operator(placed)

    def _is_told(self, placed):
        """Whether the finding of the whole file, or that of its ends, says it already."""
        op = placed.operator
        by_type = placed.reasons[0][0] in _TYPE_LIMITS
        as_float = self._is_float or op.index in self._structure.boundary
        if not self._profile.float_ops and as_float and by_type:
            return True
        return by_type and self._is_too_wide and any(t.dtype == "int16" for t in op.outputs)

    def _fix(self, operator, limit):
        """The remedy: that of the layer's construct where an operator is only its by-product."""
        inputs = [t.index for t in operator.inputs if t is not None]
        makers = [self._graph.producers[i].index for i in inputs if i in self._graph.producers]
        if self._shapes.intersection([operator.index, *makers]):
            return remedy("SHAPE")
        for island in self._structure.islands:
            if operator in island:
                inner = [op for op in island if op.name not in ("QUANTIZE", "DEQUANTIZE")]
                return remedy(inner[0].name)
        layer = self._layer_of(operator)
        for placed in self._placements:
            unknown = placed.reasons and placed.reasons[0][0] == "unsupported"
            if unknown and layer is not None and self._layer_of(placed.operator) == layer:
                return remedy(placed.operator.name)
        return remedy(operator.name, limit)

    def _operator(self, placed):
        op, (limit, words) = placed.operator, placed.reasons[0]
        code = _CODES.get(limit, "operator_limit")
        if limit == "per_channel":
            code = "per_channel_dense" if op.name == "FULLY_CONNECTED" else "per_channel"
        severity = Severity.ERROR if placed.where is Where.NOWHERE else Severity.FALLBACK
        end = f"and runs on {placed.runs_on}" if placed.runs_on else "and nothing else runs it"
        words = " and ".join([words, *(other for _, other in placed.reasons[1:])])
        message = f"{op.name} {words}; {self._profile.engine} does not take it, {end}."
        return self._finding(code, severity, message, self._fix(op, limit), op)

    def _first_unmapped(self):
        """The placement that stops the mapping of a target with one subgraph."""
        if not self._profile.one_subgraph or self._is_float or self._is_too_wide:
            return None
        outside = [p for p in self._placements if p.where is not Where.ENGINE]
        leading = self._structure.boundary
        return next((p for p in outside if p.operator.index not in leading), None)

    def _cut(self, placed):
        behind = [p for p in self._placements if p.reasons and p.reasons[0][0] == "behind"]
        total = sum(p.macs for p in self._placements) or 1
        share = (placed.macs + sum(p.macs for p in behind)) / total
        limit, words = placed.reasons[0]
        severity = Severity.ERROR if placed.where is Where.NOWHERE else Severity.FALLBACK
        return self._finding(
            "first_unmapped_operator",
            severity,
            f"{placed.operator.name} {words}. It stops the mapping to {self._profile.engine}: it "
            f"and {len(behind)} operators behind it run on the CPU, {share:.0%} of the MACs.",
            self._fix(placed.operator, limit),
            placed.operator,
        )

    def _dynamic(self):
        changing = [t for t in self._graph.inputs if -1 in t.shape_signature]
        if not changing:
            return
        shapes = ", ".join(str(list(t.shape_signature)) for t in changing)
        batch_only = all(-1 not in t.shape_signature[1:] for t in changing)
        refused = self._profile.static_shapes
        then = f"{self._profile.engine} refuses it" if refused else "it runs as stored"
        yield self._finding(
            "dynamic_batch" if batch_only else "dynamic_shape",
            Severity.ERROR if refused else Severity.WARNING,
            f"An input has no fixed shape ({shapes}); {then}.",
            "Fix the batch: convert with kc.convert, or build with keras.Input(..., batch_size=1).",
        )

    def _types_of_ends(self):
        """Inputs and outputs of another type than the profile's."""
        if self._is_too_wide or (self._is_float and not self._profile.float_ops):
            return
        taken = {"int16"} if 16 in self._profile.activation_bits_supported else set()
        ends = {"input": self._graph.inputs, "output": self._graph.outputs}
        for kind, tensors in ends.items():
            wanted = getattr(self._profile, f"{kind}_type")
            types = {str(t.dtype) for t in tensors if t.scales.size or t.dtype.is_float}
            found = sorted(types - taken - {wanted})
            if not found:
                continue
            crossing = [self._graph.operators[i] for i in self._structure.boundary]
            yield self._finding(
                "float_io" if "float32" in found else "io_type",
                self._severity(crossing) if crossing else Severity.WARNING,
                f"The file's {kind} is {', '.join(found)}; the target is meant for {wanted}.",
                f"Convert with {kind}_type={wanted!r}, and quantize the data beforehand.",
            )

    def _per_channel_dense(self):
        """Per-channel Dense where the profile asks for one scale and its table does not say so."""
        if self._profile.per_channel_dense or self._is_float or self._is_too_wide:
            return
        found = [p.operator for p in self._placements if _has_dense_scales(p)]
        if found:
            yield self._finding(
                "per_channel_dense",
                Severity.WARNING,
                f"{len(found)} Dense kernel{'s have' if len(found) > 1 else ' has'} one scale for "
                f"each unit, and it is not sure that {self._profile.engine} takes more than one.",
                remedy("FULLY_CONNECTED", "per_channel"),
                found[0],
            )

    def _narrow_weights(self):
        known = {8, 16, 32, 64, *self._profile.weight_bits}
        for op in self._graph.operators:
            for tensor in op.inputs:
                narrow = tensor is not None and tensor.dtype.is_integer
                if narrow and tensor.dtype.bits not in known:
                    yield self._finding(
                        f"{tensor.dtype}_weights",
                        Severity.ERROR,
                        f"{op.name} has {tensor.dtype} weights, which the target's tools do not "
                        "take.",
                        f"Convert with weight_bits={self._profile.weight_bits[0]}.",
                        op,
                    )
                    return

    def _dead_ranges(self):
        """Feature maps whose range is nothing, on which some kernels fail."""
        for op in self._graph.operators:
            for tensor in op.outputs:
                if tensor.scales.size and not tensor.is_constant and min(tensor.scales) < _DEAD:
                    yield self._finding(
                        "degenerate_scale",
                        Severity.WARNING,
                        f"{op.name} has an output of scale {float(min(tensor.scales)):.1e}: its "
                        "values are a constant, and some kernels fail or abort on such a scale.",
                        "Train the layer or remove it, and calibrate with samples that reach it.",
                        op,
                    )
                    return

    def _streamed(self):
        """More weights than the accelerator keeps."""
        cache = self._profile.parameter_cache_bytes
        mapped = [p.operator for p in self._placements if p.where is Where.ENGINE]
        stored = {t.index: t.stored.size for op in mapped for t in op.inputs if t is not None}
        size = sum(stored.values())
        if cache is not None and size > cache:
            yield self._finding(
                "parameters_streamed",
                Severity.WARNING,
                f"The mapped operators hold {size:,} bytes of weights, and about {cache:,} stay "
                f"on {self._profile.engine}: the rest is sent to it on every inference.",
                "Use a smaller network, or divide it among several accelerators.",
            )

    def _slow(self):
        """Operators with many MACs for which the library has no fast kernel."""
        total = sum(p.macs for p in self._placements)
        slow = [p for p in self._placements if p.where is Where.ENGINE and not p.optimized]
        share = sum(p.macs for p in slow) / total if total else 0.0
        if not self._profile.optimized or share < _SLOW_WORTH_TELLING:
            return
        worst = max(slow, key=lambda p: p.macs).operator
        yield self._finding(
            "slow_kernel",
            Severity.WARNING,
            f"{share:.0%} of the MACs run on plain kernels: {self._profile.optimized_by} has none "
            f"for {worst.name} on {', '.join(sorted({str(t.dtype) for t in worst.outputs}))} as "
            "it is here.",
            "Use int8 activations and the layer options that the profile's table lists.",
            worst,
        )

    def _padded_channels(self):
        """MACs spent on channels that are rounded up."""
        multiple = self._profile.channel_multiple
        if "channel_multiple" in self._profile.unconfirmed:
            return
        waste = {}
        for placed in self._placements:
            if placed.where is Where.ENGINE and placed.operator.name == "CONV_2D":
                channels = placed.operator.outputs[0].shape[-1]
                rounded = math.ceil(channels / multiple) * multiple
                waste[placed.operator] = placed.macs * (rounded / channels - 1)
        total = sum(p.macs for p in self._placements)
        if not total or sum(waste.values()) < _WASTE_WORTH_TELLING * total:
            return
        worst = max(waste, key=waste.get)
        yield self._finding(
            "channel_padding",
            Severity.WARNING,
            f"Channels are computed in multiples of {multiple}: {sum(waste.values()) / total:.0%} "
            f"more work, most of it in a layer of {worst.outputs[0].shape[-1]} channels.",
            f"Use channel counts that are a multiple of {multiple} "
            f"(kc.shrink(..., round_to={multiple})).",
            worst,
        )
