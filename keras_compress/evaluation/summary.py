"""The figures of an evaluation as formatted rows, and as a text table."""

from keras_compress.support.tables import text_table

_FRACTIONS = ("accuracy", "sparsity", "agreement")
_MISSING = "-"
_SHOWN_COLUMNS = 8


def rows(result):
    """Return the figures of an evaluation, formatted.

    Args:
        result: An `EvaluationResult`.

    Returns:
        List of (label, baseline, model, change), all text; empty if there is no such figure.
    """
    output_rows = []
    for output in result.outputs:
        prefix = f"{output.name}: " if len(result.outputs) > 1 else ""
        output_rows += _metric_rows(output, prefix)
        output_rows += _agreement_rows(output, prefix)
    return output_rows + _size_rows(result) + _running_rows(result)


def text(result):
    """Return an evaluation as a text table.

    Args:
        result: An `EvaluationResult`.

    Returns:
        Several lines, without a newline at the end.
    """
    table = [("", "baseline", "model", "change"), *rows(result)]
    return "\n".join([text_table(table), "", *footnotes(result)])


def footnotes(result):
    """Return sentences that explain how the figures were measured.

    Args:
        result: An `EvaluationResult`.

    Returns:
        List of sentences.
    """
    runtime = result.runtime
    ways = f"{_count(runtime.threads, 'thread')}, batches of {runtime.batch_size}"
    notes = [
        f"{_count(result.samples, 'sample')} in {runtime.name} {runtime.version} ({ways}). "
        f"{result.metric_choice}"
    ]
    timing = result.model.latency_ms
    if timing:
        notes.append(
            f"Latency is of single samples on this machine: {_count(timing.runs, 'run')}, "
            f"{_count(timing.threads, 'thread')}."
        )
    if result.model.arena:
        notes.append(
            "The arena's tail is an upper bound, as a 64-bit host inflates it; kernels that are "
            "optimized for a device may need more head."
        )
    return notes + [f"Warning: {warning}" for warning in result.warnings]


def number(name, value):
    """Format a metric's value: fractions of samples in percent, the rest in four digits.

    Args:
        name: The metric's name.
        value: Its value, or `None`.

    Returns:
        Text.
    """
    if value is None:
        return _MISSING
    return f"{value:.2%}" if name.endswith(_FRACTIONS) else f"{value:.4g}"


def _metric_rows(output, prefix):
    metric_rows = []
    for name, value in output.metrics.items():
        before = output.baseline_metrics.get(name)
        change = "" if before is None else _change(name, value - before)
        shown = "" if before is None else number(name, before)
        label = f"{prefix}{name.replace('_', ' ')}"
        metric_rows.append((label, shown, number(name, value), change))
    return metric_rows


def _change(name, difference):
    if name.endswith("accuracy"):
        return f"{100 * difference:+.2f} points"
    return f"{difference:+.3g}"


def _agreement_rows(output, prefix):
    agreement_rows = []
    if output.label_agreement is not None:
        shown = number("agreement", output.label_agreement)
        agreement_rows.append((f"{prefix}same label as baseline", "", shown, ""))
    if output.output_error is not None:
        error = output.output_error
        names = {"mse": "MSE", "rmse": "RMSE", "mae": "MAE"}
        for key, label in names.items():
            agreement_rows.append((f"{prefix}output {label}", "", f"{error[key]:.3g}", ""))
        ratio = error["sqnr_db"]
        exact = "exact" if error["mse"] == 0 else _MISSING
        shown = exact if ratio is None else f"{ratio:.1f} dB"
        agreement_rows.append((f"{prefix}output SQNR", "", shown, ""))
    if output.saturated:
        agreement_rows.append((f"{prefix}output clipped", "", f"{output.saturated:.2%}", ""))
    if output.columns and len(output.columns) <= _SHOWN_COLUMNS:
        for position, column in enumerate(output.columns):
            shown = "exact" if not column.rmse else f"{column.rmse:.3g}"
            label = f"{prefix}column {position} RMSE"
            agreement_rows.append((label, "", shown, _of_magnitude(column)))
    return agreement_rows


def _of_magnitude(column):
    return f"{column.rmse / column.magnitude:.1%} of largest" if column.magnitude else ""


def _size_rows(result):
    model, before = result.model, result.baseline and result.baseline.bytes
    change = f"{model.bytes / before:.3f} x" if before else ""
    size_rows = [
        ("bytes", f"{before:,}" if before else "", f"{model.bytes:,}", change),
        ("bytes after gzip", "", f"{model.gzip_bytes:,}", ""),
    ]
    if model.sparsity is not None:
        size_rows.append(("zero weights", "", f"{model.sparsity:.1%}", ""))
    return size_rows


def _running_rows(result):
    model, running_rows = result.model, []
    if model.latency_ms:
        running_rows.append(("latency p50", "", duration(model.latency_ms.p50), ""))
        running_rows.append(("latency p95", "", duration(model.latency_ms.p95), ""))
    for name, size in (model.arena or {}).items():
        running_rows.append((f"arena {name.removesuffix('_bytes')}", "", f"{size:,} bytes", ""))
    return running_rows


def duration(milliseconds):
    """Format a time with three digits, in the unit that suits it.

    Args:
        milliseconds: The time in milliseconds.

    Returns:
        Text.

    Example:
        >>> duration(0.00751)
        '7.51 us'
    """
    if milliseconds < 0.1:
        return f"{1000 * milliseconds:.3g} us"
    return f"{milliseconds:.3g} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.3g} s"


def _count(count, noun):
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
