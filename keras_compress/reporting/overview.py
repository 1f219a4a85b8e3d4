"""Several evaluations as a table, one in each row."""

from keras_compress.evaluation.summary import duration, number
from keras_compress.support.tables import text_table


def overview(results):
    """Return one row of text for the baseline and for each evaluation.

    Args:
        results: Name -> `EvaluationResult` of the same evaluation set.

    Returns:
        The pair of a tuple of headings and a list of tuples of text, of the same length.
    """
    metrics = list(dict.fromkeys(key for r in results.values() for key in r.model.metrics))
    headings = ("", *(name.replace("_", " ") for name in metrics), *_HEADINGS)
    rows = [_row(name, result, metrics) for name, result in results.items()]
    baselines = [result.baseline for result in results.values() if result.baseline]
    if baselines:
        shown = [number(name, baselines[0].metrics.get(name)) for name in metrics]
        size = f"{baselines[0].bytes:,}" if baselines[0].bytes else "-"
        rows.insert(0, ("float baseline", *shown, size, *["-"] * (len(_HEADINGS) - 1)))
    return headings, rows


def overview_text(results):
    """Return `overview` as a table of text.

    Args:
        results: As for `overview`.

    Returns:
        Several lines, without a newline at the end.
    """
    headings, rows = overview(results)
    return text_table([headings, *rows])


_HEADINGS = ("bytes", "gzip", "zero weights", "latency p50", "same label", "SQNR")


def _row(name, result, metrics):
    model, error = result.model, result.output_error
    ratio = error and error["sqnr_db"]
    return (
        name,
        *(number(key, model.metrics.get(key)) for key in metrics),
        f"{model.bytes:,}",
        f"{model.gzip_bytes:,}",
        "-" if model.sparsity is None else f"{model.sparsity:.1%}",
        duration(model.latency_ms.p50) if model.latency_ms else "-",
        number("agreement", result.label_agreement),
        "-" if ratio is None else f"{ratio:.1f} dB",
    )
