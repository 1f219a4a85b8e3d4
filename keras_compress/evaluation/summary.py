"""The figures of an evaluation as rows of words, and as a table of text."""

from keras_compress.support.tables import text_table

_FRACTIONS = ("accuracy", "sparsity", "agreement")
_MISSING = "-"


def rows(result):
    """Return the figures of an evaluation, formatted.

    Args:
        result: An `EvaluationResult`.

    Returns:
        List of (label, baseline, model, change), all text; empty where there is no such figure.
    """
    found = []
    for output in result.outputs:
        prefix = f"{output.name}: " if len(result.outputs) > 1 else ""
        found += _metric_rows(output, prefix)
        found += _agreement_rows(output, prefix)
    return found + _size_rows(result) + _running_rows(result)


def text(result):
    """Return an evaluation as a table of text.

    Args:
        result: An `EvaluationResult`.

    Returns:
        Several lines, without a newline at the end.
    """
    table = [("", "baseline", "model", "change"), *rows(result)]
    return "\n".join([text_table(table), "", *footnotes(result)])


def footnotes(result):
    """Return in sentences how the figures came about.

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
    found = []
    for name, value in output.metrics.items():
        before = output.baseline_metrics.get(name)
        change = "" if before is None else _change(name, value - before)
        shown = "" if before is None else number(name, before)
        found.append((f"{prefix}{name.replace('_', ' ')}", shown, number(name, value), change))
    return found


def _change(name, difference):
    if name.endswith("accuracy"):
        return f"{100 * difference:+.2f} points"
    return f"{difference:+.3g}"


def _agreement_rows(output, prefix):
    found = []
    if output.label_agreement is not None:
        shown = number("agreement", output.label_agreement)
        found.append((f"{prefix}same label as baseline", "", shown, ""))
    if output.output_error is not None:
        error = output.output_error
        names = {"mse": "MSE", "rmse": "RMSE", "mae": "MAE"}
        for key, label in names.items():
            found.append((f"{prefix}output {label}", "", f"{error[key]:.3g}", ""))
        ratio = error["sqnr_db"]
        exact = "exact" if error["mse"] == 0 else _MISSING
        shown = exact if ratio is None else f"{ratio:.1f} dB"
        found.append((f"{prefix}output SQNR", "", shown, ""))
    return found


def _size_rows(result):
    model, before = result.model, result.baseline and result.baseline.bytes
    change = f"{model.bytes / before:.3f} x" if before else ""
    found = [
        ("bytes", f"{before:,}" if before else "", f"{model.bytes:,}", change),
        ("bytes after gzip", "", f"{model.gzip_bytes:,}", ""),
    ]
    if model.sparsity is not None:
        found.append(("zero weights", "", f"{model.sparsity:.1%}", ""))
    return found


def _running_rows(result):
    model, found = result.model, []
    if model.latency_ms:
        found.append(("latency p50", "", duration(model.latency_ms.p50), ""))
        found.append(("latency p95", "", duration(model.latency_ms.p95), ""))
    for name, size in (model.arena or {}).items():
        found.append((f"arena {name.removesuffix('_bytes')}", "", f"{size:,} bytes", ""))
    return found


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
