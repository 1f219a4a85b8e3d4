"""The figures of a file on a target, each with its source."""

import dataclasses
import functools

from keras_compress.edge_profiles import profile as edge_profile
from keras_compress.edge_profiles.verdict import check
from keras_compress.errors import CompressionError
from keras_compress.evaluation.runtimes import choose, open_file
from keras_compress.evaluation.runtimes.base import input_details
from keras_compress.evaluation.summary import duration
from keras_compress.exporting.vela import compile_model
from keras_compress.support.types import Json
from keras_compress.tflite import flatbuffer


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure and its origin.

    Args:
        value: The number, `None` where it cannot be measured or estimated here.
        source: Where it comes from, or why there is none.
        budget: The target's limit, `None` without one.
    """

    value: float | None
    source: str
    budget: int | None = None

    @property
    def fits(self) -> bool | None:
        """Whether it keeps to the budget; `None` if the figure or the budget is unknown."""
        if self.value is None or self.budget is None:
            return None
        return self.value <= self.budget


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetFigures:
    """A file on a target.

    Args:
        profile: Name of the profile.
        title: The target in a few words.
        verdict: `"runs"`, `"runs_with_fallbacks"` or `"does_not_run"`.
        accelerated_macs: Share of the multiply-accumulate operations on the fast engine.
        flash_bytes: Bytes of the model in flash.
        sram_bytes: Bytes of working memory.
        latency_ms: Time of one inference in milliseconds.
        findings: The findings of `kc.check`, as dictionaries.
    """

    profile: str
    title: str
    verdict: str
    accelerated_macs: float
    flash_bytes: Figure
    sram_bytes: Figure
    latency_ms: Figure
    findings: tuple[dict, ...] = ()

    @property
    def fits(self) -> bool | None:
        """Whether flash and SRAM keep to the budgets; `None` where the target has none."""
        fits = [f.fits for f in (self.flash_bytes, self.sram_bytes) if f.fits is not None]
        return all(fits) if fits else None

    def to_json(self) -> Json:
        """Return the fields as a dictionary that `json.dumps` takes."""
        return {**dataclasses.asdict(self), "findings": list(self.findings), "fits": self.fits}


def target_figures(model, profile, result=None):
    """Collect the figures of a file on a target that this machine can measure or estimate.

    Memory of TFLite Micro targets is measured in its interpreter where that is installed; cycles
    of an Ethos-U are Vela's estimate where that is installed. Everything else comes from
    `kc.check`.

    Args:
        model: Bytes or path of a `.tflite`, or a `ConvertedModel`.
        profile: Name, path or `Profile` of the target.
        result: The file's `EvaluationResult`, for a latency that was measured in LiteRT.

    Returns:
        `TargetFigures`.
    """
    target = edge_profile.get(profile)
    verdict = check(model, target)
    compiled = _compiled(model, target) if verdict.runs else None
    if compiled is not None:
        flash, sram, latency = _by_vela(compiled)
    else:
        flash = Figure(verdict.flash_bytes, "size of the file")
        sram = _sram(model, target, verdict)
        latency = _latency(target, verdict, result)
    return TargetFigures(
        profile=target.name,
        title=target.title,
        verdict=verdict.verdict,
        accelerated_macs=verdict.accelerated_macs,
        flash_bytes=dataclasses.replace(flash, budget=verdict.flash_budget_bytes),
        sram_bytes=dataclasses.replace(sram, budget=verdict.sram_budget_bytes),
        latency_ms=latency,
        findings=tuple(finding.to_json() for finding in verdict.findings),
    )


def _compiled(model, target):
    """Return Vela's result, or `None` where it has none."""
    try:
        return compile_model(model, target) if target.vela else None
    except CompressionError:
        return None


def _by_vela(compiled):
    source = f"Vela's estimate for {compiled.accelerator}"
    return (
        Figure(compiled.flash_bytes or len(compiled.content), source),
        Figure(compiled.sram_bytes, source),
        Figure(compiled.inference_ms, f"{source}, {compiled.system_config}"),
    )


def _sram(model, target, verdict):
    runtime = _installed("tflite_micro")
    if verdict.runs and target.runs_in_tflite_micro and runtime is not None:
        try:
            arena = _arena(flatbuffer.read(model).content)
        except CompressionError:
            arena = None
        if arena:
            source = f"arena measured in TFLite Micro {runtime.version()} on this 64-bit machine"
            return Figure(arena["total_bytes"], source)
    if verdict.sram_bytes is None:
        return Figure(None, "the file was not read to its end")
    return Figure(verdict.sram_bytes, "estimate from shapes and lifetimes")


@functools.lru_cache(maxsize=16)
def _arena(content):
    """Run a file once in TFLite Micro; several targets ask for the same arena."""
    import numpy as np

    with open_file(content, "tflite_micro") as opened:
        opened.invoke([np.zeros(t.shape, t.dtype) for t in input_details(opened.model)])
        return opened.arena()


def _installed(name):
    try:
        return choose(name)
    except CompressionError:
        return None


def _latency(target, verdict, result):
    if not verdict.runs:
        return Figure(None, "does not run")
    timing = result.model.latency_ms if result is not None else None
    in_litert = result is not None and result.runtime.name in ("litert", "tflite_runtime")
    if timing and in_litert and target.runs_in_litert:
        where = f"measured in {result.runtime.name} {result.runtime.version} on this machine"
        return Figure(timing.p50, f"{where}, not on the target")
    macs = f"{verdict.macs:,} multiply-accumulates" if verdict.macs else "no multiply-accumulates"
    return Figure(None, f"not known before a run on the device; {macs}")


_HEADINGS = ("target", "verdict", "fits", "flash bytes", "SRAM bytes", "latency")


def target_rows(targets):
    """Return a table of targets as text.

    Args:
        targets: List of `TargetFigures`.

    Returns:
        The pair of a tuple of headings and a list of tuples of text, of the same length.
    """
    return _HEADINGS, [_row(target) for target in targets]


def _row(target):
    latency = target.latency_ms.value
    return (
        target.profile,
        target.verdict.replace("_", " "),
        {True: "yes", False: "no", None: "no budget"}[target.fits],
        _against(target.flash_bytes),
        _against(target.sram_bytes),
        "-" if latency is None else duration(latency),
    )


def _against(figure):
    if figure.value is None:
        return "-"
    return f"{figure.value:,}" + (f" of {figure.budget:,}" if figure.budget else "")


def target_notes(targets):
    """Return sentences on where the figures of targets come from, and on errors of `kc.check`.

    Args:
        targets: List of `TargetFigures`.

    Returns:
        List of sentences.
    """
    notes = []
    for target in targets:
        origins = (
            f"{name}: {figure.source}"
            for name, figure in (
                ("flash", target.flash_bytes),
                ("SRAM", target.sram_bytes),
                ("latency", target.latency_ms),
            )
        )
        notes.append(f"{target.profile}, {target.title}: {'; '.join(origins)}.")
        notes += [
            f"Warning: {target.profile}: {finding['message']} {finding['fix']}".rstrip()
            for finding in target.findings
            if finding["severity"] == "error"
        ]
    return notes
