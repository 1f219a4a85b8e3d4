"""`kc.check`: whether a file runs on a target, where its operators execute, and what to change."""

import collections
import dataclasses
import html
import os
from collections.abc import Iterable

from keras_compress.edge_profiles import diagnosis, operator_mapping, profile
from keras_compress.edge_profiles.operator_mapping import Where
from keras_compress.edge_profiles.target_finding import Severity, TargetFinding
from keras_compress.errors import FlatbufferError
from keras_compress.support import regular_files
from keras_compress.support.tables import html_table
from keras_compress.tflite import arena, flatbuffer, wellformed
from keras_compress.tflite.types import FileSource

_VERDICT_WORDS = {
    "runs": "runs",
    "runs_with_fallbacks": "runs partly on the CPU",
    "does_not_run": "does not run",
}
_MADE_UP = "samples    made up: this says whether the model converts and runs, not how accurately"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """The result of a check of a file, or of a model before it is one, for a target.

    Args:
        profile: Name of the profile.
        title: The target in a few words.
        verdict: `"runs"`, `"runs_with_fallbacks"` or `"does_not_run"`.
        accelerated_macs: Fraction of the multiply-accumulate operations that the accelerator (on
            a CPU target the library of fast kernels) executes, in [0, 1].
        macs: Number of multiply-accumulate operations of one inference.
        flash_bytes: Size of the file.
        flash_budget_bytes: The profile's limit, `None` without one.
        sram_bytes: Estimated size of the tensor arena, from shapes and lifetimes.
        sram_budget_bytes: The profile's limit, `None` without one.
        findings: Tuple of `TargetFinding`, the most severe first.
        operators: One dictionary for each operator, in the order of execution: `index`, `operator`,
            `layer`, `runs_on`, `macs`, `reasons`.
        first_unmapped: The entry of `operators` that stops an Edge TPU mapping, `None` if none.
        made_up_samples: Whether a model was checked, which was converted with samples made from
            a seed.
    """

    profile: str
    title: str
    verdict: str
    accelerated_macs: float = 0.0
    macs: int = 0
    flash_bytes: int = 0
    flash_budget_bytes: int | None = None
    sram_bytes: int | None = None
    sram_budget_bytes: int | None = None
    findings: tuple[TargetFinding, ...] = ()
    operators: tuple[dict, ...] = ()
    first_unmapped: dict | None = None
    made_up_samples: bool = False

    @property
    def runs(self) -> bool:
        """Whether the file runs, fully or with fallbacks."""
        return self.verdict != "does_not_run"

    def to_json(self) -> dict:
        """Return the fields as a dictionary that `json.dumps` takes."""
        fields = dataclasses.asdict(self)
        fields["findings"] = [finding.to_json() for finding in self.findings]
        fields["operators"] = list(self.operators)
        fields["estimated"] = ["sram_bytes"]
        return fields

    def __str__(self):
        lines = [f"{self.title}: {_VERDICT_WORDS[self.verdict]}.", *_figures(self)]
        lines += [f"  {_MADE_UP}"] if self.made_up_samples else []
        for finding in self.findings:
            lines += ["", f"[{finding.severity}] {finding.code}{_place(finding)}"]
            lines += [f"  {finding.message}", *([f"  {finding.fix}"] if finding.fix else [])]
        return "\n".join(lines)

    def _repr_html_(self):
        head = html.escape(f"{self.title}: {_VERDICT_WORDS[self.verdict]}.")
        said = [*_figures(self), *([_MADE_UP] if self.made_up_samples else [])]
        figures = "".join(f"<li>{html.escape(line)}</li>" for line in said)
        header = ("severity", "code", "operator", "layer", "message", "fix")
        rows = [[getattr(f, name) or "" for name in header] for f in self.findings]
        table = html_table(header, rows) if rows else ""
        return f"<p><b>{head}</b></p><ul>{figures}</ul>{table}"


def check(model: FileSource, profile_or_name: str | os.PathLike | profile.Profile) -> Verdict:
    """Check whether a TFLite file runs on a target, without the target and without TensorFlow.

    Each operator of the file is compared with the profile's table, and memory with the profile's
    budgets. A damaged file gets a verdict too, with the finding `corrupt_file`.

    Args:
        model: Path or bytes of a `.tflite`, or a `ConvertedModel`.
        profile_or_name: Name of a profile, path of a user's own `.toml`, or a `Profile`.

    Returns:
        A `Verdict`: `print` it, or use `to_json()` in programs.

    Raises:
        UnknownNameError: No profile has that name.
        ProfileError: The user's profile breaks a rule.
        FlatbufferError: There is no such file, or it is not a TFLite file.

    Example:
        >>> kc.check("model.tflite", "cortex_m7").verdict  # doctest: +SKIP
        'runs'
    """
    target = profile.get(profile_or_name)
    try:
        read = flatbuffer.read(model)
    except FlatbufferError as error:
        if not _is_damaged(model):
            raise
        return refused(target, [_corrupt(error)])
    names = getattr(model, "scopes", None), getattr(model, "output_layers", ())
    return _judge(read, target, *names)


def _is_damaged(model):
    """Return whether an unreadable file is empty or starts like a TFLite file."""
    content = getattr(model, "content", model)
    if isinstance(content, str | os.PathLike):
        if regular_files.special_kind(content):
            return False
        try:
            with open(content, "rb") as file:
                content = file.read(8)
        except (OSError, ValueError):
            return False
    if not isinstance(content, bytes | bytearray | memoryview):
        return False
    return not len(content) or bytes(content[4:8]) == b"TFL3"


def _corrupt(error):
    return TargetFinding(
        code="corrupt_file",
        severity=Severity.ERROR,
        message=str(error),
        fix="Write or download the file again, and compare its size with the original's.",
    )


def _malformed(model):
    """Return a finding about the first operator that no interpreter could execute, or `None`."""
    for op, problem in wellformed.problems(model):
        return TargetFinding(
            code="malformed_operator",
            severity=Severity.ERROR,
            operator=op.name,
            index=op.index,
            message=f"{op.name} {problem}: no interpreter can execute it.",
            fix="Write the file again with the tool that made it.",
        )
    return None


def refused(
    target: profile.Profile, findings: Iterable[TargetFinding], flash_bytes: int = 0
) -> Verdict:
    """Return the verdict on what is not even a file that could be judged."""
    return Verdict(
        profile=target.name,
        title=target.title,
        verdict="does_not_run",
        flash_bytes=flash_bytes,
        findings=tuple(findings),
    )


def _judge(model, target, scopes, output_layers):
    from keras_compress.tflite.layer_names import LayerNames

    malformed = _malformed(model)
    if malformed:
        return refused(target, [malformed], len(model.content))
    mappings = [operator_mapping.map_operators(graph, target) for graph in model.subgraphs]
    outputs = [output_layers, *[()] * len(model.subgraphs[1:])]
    names = [LayerNames(g, scopes, o).first for g, o in zip(model.subgraphs, outputs, strict=True)]
    sram_bytes = arena.estimate(model).total
    findings = diagnosis.diagnose(model, target, mappings, names, sram_bytes)
    entries = tuple(_entry(mapping, names[0]) for mapping in mappings[0])
    unmapped = next((f.index for f in findings if f.code == "first_unmapped_operator"), None)
    return Verdict(
        profile=target.name,
        title=target.title,
        verdict=_verdict(mappings, findings),
        accelerated_macs=_accelerated(mappings[0]),
        macs=sum(mapping.macs for mapping in mappings[0]),
        flash_bytes=len(model.content),
        flash_budget_bytes=target.flash_bytes,
        sram_bytes=sram_bytes,
        sram_budget_bytes=target.sram_bytes,
        findings=findings,
        operators=entries,
        first_unmapped=None if unmapped is None else entries[unmapped],
    )


def _verdict(mappings, findings):
    if any(finding.severity is Severity.ERROR for finding in findings):
        return "does_not_run"
    falls_back = any(m.where is Where.FALLBACK for mapped in mappings for m in mapped)
    return "runs_with_fallbacks" if falls_back else "runs"


def _accelerated(mappings):
    """Return the fraction of MACs on the engine's fast kernels, or of operators without MACs."""
    fast = [m for m in mappings if m.where is Where.ENGINE and m.optimized]
    total = sum(m.macs for m in mappings)
    if total:
        return sum(m.macs for m in fast) / total
    counted = [m for m in mappings if m.where is not Where.FOLDED]
    return len(fast) / len(counted) if counted else 1.0


def _entry(mapping, layer_of):
    return {
        "index": mapping.operator.index,
        "operator": mapping.operator.name,
        "layer": layer_of(mapping.operator),
        "runs_on": mapping.runs_on,
        "macs": mapping.macs,
        "reasons": [explanation for _, explanation in mapping.reasons],
    }


def _figures(verdict):
    if verdict.sram_bytes is None:
        return
    where = collections.Counter(entry["runs_on"] for entry in verdict.operators)
    shares = ", ".join(f"{n} {f'on {name}' if name else 'nowhere'}" for name, n in where.items())
    yield f"  operators  {len(verdict.operators)}: {shares}"
    yield f"  MACs       {verdict.macs:,}, {verdict.accelerated_macs:.1%} of them accelerated"
    yield f"  flash      {_against(verdict.flash_bytes, verdict.flash_budget_bytes)}"
    yield f"  SRAM       {_against(verdict.sram_bytes, verdict.sram_budget_bytes)} (estimate)"


def _against(used, budget):
    return f"{used:,} bytes" + (f" of {budget:,}" if budget else "")


def _place(finding):
    operator = f" {finding.operator} #{finding.index}" if finding.operator else ""
    return operator + (f" (layer {finding.layer})" if finding.layer else "")
