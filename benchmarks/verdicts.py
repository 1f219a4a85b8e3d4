"""What `kc.check` says of twelve small networks on every target, as one table.

    python benchmarks/verdicts.py [FOLDER]

writes `docs/verdicts.md`; a test keeps it equal and has TFLite Micro, Vela and LiteRT confirm what
they can. FOLDER holds the files of `verdict_networks.py`; without it they are made anew.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import keras_compress as kc
from keras_compress.edge_profiles import profile

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "verdicts.md"

INTRODUCTION = """# Verdicts

What `kc.check` says of twelve small networks (`benchmarks/verdict_networks.py`), converted by
TensorFlow 2.21 as each profile asks. Written by `python benchmarks/verdicts.py`.

**runs**: all on the target. **partly**: partly on the CPU, with the share of the
multiply-accumulate operations that stays on the accelerator. **no**: the file does not run.
**-**: the converter refuses the network in these types.
"""


def setting(target):
    """Name the setting of `verdict_networks.py` that a profile asks for."""
    if target.is_float:
        return "float32"
    if target.activation_bits == 16:
        return "int16x8"
    return "int8" if target.per_channel_dense else "int8_per_tensor_dense"


def make_files(folder):
    """Convert all networks in a process of its own: TensorFlow stays out of this one."""
    script = Path(__file__).with_name("verdict_networks.py")
    subprocess.run([sys.executable, script, folder], check=True, capture_output=True)


def verdicts(folder):
    """Return network -> profile -> `Verdict`, or the operators that the converter refuses."""
    failures = json.loads((folder / "failures.json").read_text())
    found = {}
    for name in networks(folder):
        for target in map(profile.get, profile.profiles()):
            key = f"{name}.{setting(target)}"
            path = folder / f"{key}.tflite"
            verdict = kc.check(path, target) if path.exists() else failures[key]
            found.setdefault(name, {})[target.name] = verdict
    return found


def networks(folder):
    """List the networks of a folder in alphabetical order."""
    return sorted({path.name.split(".")[0] for path in folder.glob("*.tflite")})


def cell(verdict):
    """Say a verdict in a word."""
    if isinstance(verdict, list):
        return "-"
    words = {"runs": "runs", "does_not_run": "no"}
    return words.get(verdict.verdict) or f"partly {verdict.accelerated_macs:.0%}"


def reasons(verdict):
    """Yield what keeps a file from running as a whole on its target."""
    if isinstance(verdict, list):
        yield f"the converter refuses {', '.join(verdict)}"
        return
    for finding in verdict.findings:
        if finding.severity != "warning":
            place = f" {finding.operator}" if finding.operator else ""
            layer = f" in `{finding.layer}`" if finding.layer else ""
            yield f"{finding.code}{place}{layer}"


def render(found):
    """Return the page."""
    names = list(found)
    lines = [INTRODUCTION, "| | " + " | ".join(names) + " |", "|" + "---|" * (len(names) + 1)]
    for target in profile.profiles():
        cells = [cell(found[name][target]) for name in names]
        lines.append(f"| `{target}` | " + " | ".join(cells) + " |")
    for name in names:
        told = {target: "; ".join(reasons(verdict)) for target, verdict in found[name].items()}
        told = {target: why for target, why in told.items() if why}
        lines += ["", f"## {name}", ""] if told else []
        lines += [f"- `{t}`, {cell(found[name][t])}: {why}" for t, why in told.items()]
    return "\n".join(lines) + "\n"


def main(folder=None):
    """Write the page."""
    if folder is not None:
        PAGE.write_text(render(verdicts(Path(folder))), encoding="utf-8")
        return
    with tempfile.TemporaryDirectory() as made:
        make_files(made)
        main(made)


if __name__ == "__main__":
    main(*sys.argv[1:])
