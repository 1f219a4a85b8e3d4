"""An analysis as text: the causes first, then a table of layers."""

from keras_compress.support.tables import text_table

_HEADER = ("layer", "simulated", "file", "weights", "saturated", "alone", "gain")
_SHOWN_CAUSES = 5
_MISSING = "-"


def text(analysis):
    """Return an analysis as text.

    Args:
        analysis: An `Analysis`.

    Returns:
        Several lines, without a newline at the end.
    """
    sentences = [*_causes(analysis), *_integers(analysis)]
    return "\n".join([*sentences, "", text_table(rows(analysis)), "", *footnotes(analysis)])


def rows(analysis):
    """Return one row of text for each layer, the header first.

    Args:
        analysis: An `Analysis`.

    Returns:
        List of tuples of the same length.
    """
    simulated, in_file = analysis.of("simulated"), analysis.of("file")
    weights = {**analysis.of("simulated", "weights"), **analysis.of("file", "weights")}
    sensitivity_of = {s.layer: s for s in analysis.sensitivity}
    layers = dict.fromkeys(row.layer for row in analysis.rows)
    table = [_HEADER]
    for layer in layers:
        sensitivity = sensitivity_of.get(layer)
        saturated = [s[layer].saturated for s in (simulated, in_file) if layer in s]
        table.append(
            (
                layer,
                _db(simulated.get(layer)),
                _db(in_file.get(layer)),
                _db(weights.get(layer)),
                _MISSING if not saturated or saturated[-1] is None else f"{saturated[-1]:.2%}",
                _MISSING if sensitivity is None else f"{sensitivity.alone_mse:.2e}",
                _MISSING if sensitivity is None else f"{sensitivity.gain:.0%}",
            )
        )
    return table


def footnotes(analysis):
    """Return sentences that explain the columns.

    Args:
        analysis: An `Analysis`.

    Returns:
        List of sentences.
    """
    notes = [
        f"SQNR in dB against the float model over {analysis.samples} samples: outputs of layers in "
        "the simulated Keras model and in the file, and weights. alone: MSE of the outputs with "
        "only this layer rounded; gain: how much of the error disappears with this layer in float."
    ]
    if analysis.kernels:
        notes.append(f"The file ran in LiteRT with its {analysis.kernels} kernels.")
    notes += [f"Output MSE, {name}: {mse:.3g}." for name, mse in analysis.output_mse.items()]
    return notes


def _causes(analysis):
    if not analysis.causes:
        return ["No likely cause of error found."]
    shown = analysis.causes[:_SHOWN_CAUSES]
    lines = [f"{number}. {cause}" for number, cause in enumerate(shown, start=1)]
    more = len(analysis.causes) - len(shown)
    return ["Likely causes:", *lines, *([f"and {more} more"] if more else [])]


def _integers(analysis):
    """Say where the file's integers begin to differ from the trained model's."""
    if not analysis.integers:
        return []
    first = analysis.first_difference
    if first is None:
        return ["", "All integers of the file are those of the trained model."]
    worst = max(analysis.integers, key=lambda each: each.introduced)
    last = analysis.integers[-1]
    return [
        "",
        f"Integers against the trained model, first difference: {first}.",
        f"Most is introduced by {worst.layer!r} ({worst.operator}): {worst.introduced:.2%} of its "
        "integers differ even for equal inputs.",
        f"The last tensor is {last}.",
    ]


def _db(row):
    if row is None:
        return _MISSING
    return "exact" if row.sqnr_db is None else f"{row.sqnr_db:.1f}"
