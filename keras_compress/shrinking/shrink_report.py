"""The report of `kc.shrink`: sizes before and after by layer, ties, and protected layers."""

import dataclasses
import html
import json

from keras_compress.support.tables import html_table, text_table

COLUMNS = ("layer", "channels", "MACs", "parameters", "tied to / protected because")


@dataclasses.dataclass(frozen=True)
class LayerChange:
    """One layer before and after; pairs are (before, after).

    Args:
        name: The layer's name.
        kind: The name of its class.
        channels: Output channels; `None` for layers that make none.
        macs: Multiply-accumulates of one sample.
        parameters: Number of weights.
        bytes: Bytes of the weights in their own data types.
        tied_to: Layers whose channels must be removed together with this layer's.
        protected: Why some or all of its channels had to stay; empty if nothing protected them.
        latency_ms: Median time of the layer alone; `None` if it was not measured.
    """

    name: str
    kind: str
    channels: tuple[int, int] | None
    macs: tuple[int, int]
    parameters: tuple[int, int]
    bytes: tuple[int, int]
    tied_to: tuple[str, ...] = ()
    protected: str = ""
    latency_ms: tuple[float, float] | None = None


@dataclasses.dataclass(frozen=True)
class ShrinkReport:
    """What `shrink` did.

    Args:
        model: The model's name.
        criterion: The criterion's name.
        budget: The requested budget, as text.
        layers: A `LayerChange` for each layer with weights or channels.
        removed_blocks: The name of the last layer of each removed block.
        free_channels: Number of groups whose removal does not change the outputs.
        unknown: Layers that have no rule.
    """

    model: str
    criterion: str
    budget: str
    layers: tuple[LayerChange, ...]
    removed_blocks: tuple[str, ...] = ()
    free_channels: int = 0
    unknown: tuple[str, ...] = ()

    @property
    def macs(self):
        """Multiply-accumulates of one sample before and after."""
        return self._total("macs")

    @property
    def parameters(self):
        """Number of weights before and after."""
        return self._total("parameters")

    @property
    def bytes(self):
        """Bytes of weights before and after."""
        return self._total("bytes")

    @property
    def protected(self):
        """Layers whose channels had to stay, and why."""
        return {layer.name: layer.protected for layer in self.layers if layer.protected}

    def to_json(self):
        """Return the report as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    def __str__(self):
        table = text_table([COLUMNS, *map(_row, self.layers)], alignment="<>>><")
        return "\n".join([self._head(), table, *self._totals()])

    def _repr_html_(self):
        """Show the summary as a table in notebooks."""
        table = html_table(COLUMNS, map(_row, self.layers))
        totals = "<br>".join(map(html.escape, self._totals()))
        return f"<p><b>{html.escape(self._head())}</b></p>{table}<p>{totals}</p>"

    def plot(self, axes=None):
        """Draw the MACs of each layer before and after.

        Args:
            axes: Matplotlib axes; new ones by default.

        Returns:
            The axes.
        """
        import matplotlib.pyplot as plt

        layers = [layer for layer in self.layers if layer.macs[0]]
        axes = axes or plt.subplots(figsize=(8, 0.22 * len(layers) + 1.2))[1]
        names = [layer.name for layer in layers]
        axes.barh(names, [layer.macs[0] for layer in layers], color="lightgray", label="before")
        axes.barh(names, [layer.macs[1] for layer in layers], color="tab:blue", label="after")
        axes.invert_yaxis()
        axes.set_xlabel("multiply-accumulates of one sample")
        axes.legend()
        return axes

    def _head(self):
        return f"{self.model}: {self.budget} by {self.criterion}"

    def _total(self, field):
        pairs = [getattr(layer, field) for layer in self.layers]
        return sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)

    def _totals(self):
        for field in ("macs", "parameters", "bytes"):
            before, after = getattr(self, field)
            share = f"{after / before:.1%}" if before else "-"
            yield f"{field}: {before:,} -> {after:,} ({share})"
        times = [layer.latency_ms for layer in self.layers if layer.latency_ms]
        if times:
            before, after = map(sum, zip(*times, strict=True))
            yield f"milliseconds, layers measured one by one: {before:.2f} -> {after:.2f}"
        if self.free_channels:
            yield f"channels whose removal does not change the outputs: {self.free_channels}"
        if self.removed_blocks:
            yield f"removed blocks, by their last layers: {', '.join(self.removed_blocks)}"
        if self.unknown:
            yield f"layers without a rule: {', '.join(self.unknown)}"


def _row(layer):
    channels = "" if layer.channels is None else f"{layer.channels[0]} -> {layer.channels[1]}"
    macs, parameters = (f"{a:,} -> {b:,}" for a, b in (layer.macs, layer.parameters))
    return layer.name, channels, macs, parameters, layer.protected or ", ".join(layer.tied_to)


def describe(graph, costs, keep, calls=None, **notes):
    """Build the report of a choice of groups.

    Args:
        graph: A `DependencyGraph`.
        costs: Its `Costs`.
        keep: Mask of the groups that stay.
        calls: The calls that are left; all by default.
        **notes: The other fields of `ShrinkReport`.
    """
    whole = keep | True
    left = {call.name for call in (graph.graph.calls if calls is None else calls)}
    macs = graph.macs(whole), _only(left, graph.macs(keep))
    weights = costs.by_layer(whole), _only(left, costs.by_layer(keep))
    coupled_channels = _coupled_channels_of_layers(graph)
    layers = []
    for call in {call.name: call for call in graph.graph.calls}.values():
        name, made = call.name, coupled_channels.get(call.name)
        if made is None and name not in macs[0] and name not in weights[0]:
            continue
        before, after = (by_layer.get(name, (0, 0)) for by_layer in weights)
        layers.append(
            LayerChange(
                name=name,
                kind=type(call.operation).__name__,
                channels=None
                if made is None
                else (made.ids, int(keep[made.groups].sum()) * (name in left)),
                macs=(macs[0].get(name, 0), macs[1].get(name, 0)),
                parameters=(before[0], after[0]),
                bytes=(before[1], after[1]),
                tied_to=() if made is None else made.tied_to,
                protected="" if made is None else _reason(graph, made.groups),
            )
        )
    return ShrinkReport(model=graph.model.name, layers=tuple(layers), **notes)


@dataclasses.dataclass
class _Made:
    ids: int
    groups: object
    tied_to: tuple[str, ...]


def _only(names, by_layer):
    return {name: value for name, value in by_layer.items() if name in names}


def _coupled_channels_of_layers(graph):
    """Return the channels that each layer makes, by layer name."""
    tied: dict[str, dict[str, None]] = {}
    for names in graph.coupled_makers:
        for name in names:
            tied.setdefault(name, {}).update(dict.fromkeys(names))
    return {
        name: _Made(len(groups), groups, tuple(other for other in tied[name] if other != name))
        for name, groups in graph.makers
    }


def _reason(graph, groups):
    reasons = dict.fromkeys(graph.protected[g] for g in groups.tolist() if g in graph.protected)
    return "; ".join(reasons)
