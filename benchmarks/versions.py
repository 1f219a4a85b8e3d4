"""The tests that touch TensorFlow and Keras most, in an environment for each pair of versions.

    python benchmarks/versions.py [--stacks 2.19 2.20 2.21] [--pythons python3.11 ...]
                                  [--folder DIR] [--tests FILE ...]

Environments are laid in the folder and used again: 2 GB each. A few minutes an environment to
install, and several more for the tests. Ends with status 1 if a test failed or an environment
could not be made. All stacks with all tests write their section of RESULTS.md.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import results

ROOT = Path(__file__).resolve().parents[1]
# The lowest of everything, the newest of everything, and what lies between.
STACKS = {
    "2.19": ["tensorflow==2.19.*", "keras==3.9.*", "tf_keras==2.19.*", "ai-edge-litert==2.0.*"],
    "2.20": ["tensorflow==2.20.*", "keras==3.12.*", "tf_keras==2.20.*"],
    "2.21": ["tensorflow==2.21.*", "keras", "tf_keras==2.21.*"],
}
TESTS = [
    "tests/converters/test_tflite.py",
    "tests/evaluation/test_comparison.py",
    "tests/evaluation/test_isolation.py",
    "tests/shrinking/test_shrinking.py",
    "tests/callbacks/test_pruning.py",
    "tests/callbacks/test_quantization.py",
    "tests/quantization/test_range_placement.py",
    "tests/compression/test_apply.py",
    "tests/callbacks/test_backup.py",
    "tests/test_parity.py",
    "tests/test_serialization.py",
    "tests/wrappers/test_compressed_layer.py",
]
_PACKAGES = ("tensorflow", "keras", "ai-edge-litert", "numpy")


def make(python, stack, folder):
    """Make an environment, or take the one that is there; return its interpreter."""
    place = Path(folder) / f"{Path(python).name}_{stack}"
    interpreter = place / "bin/python"
    if (place / "whole").exists():
        return interpreter
    shutil.rmtree(place, ignore_errors=True)
    subprocess.run([python, "-m", "venv", place], check=True)
    constraints = place / "constraints.txt"
    constraints.write_text("\n".join(STACKS[stack]) + "\n")
    wanted = [f"{ROOT}[tensorflow,report]", "pytest", "hypothesis"]
    install = [interpreter, "-m", "pip", "install", "--quiet", "-c", constraints]
    subprocess.run([*install, "--editable", *wanted], check=True)
    (place / "whole").touch()
    return interpreter


def versions(interpreter):
    """Return what an environment holds."""
    program = "import importlib.metadata as m, platform, sys; print(platform.python_version(), "
    program += "*(m.version(name) for name in sys.argv[1:]))"
    said = subprocess.run(
        [interpreter, "-c", program, *_PACKAGES], capture_output=True, text=True, check=True
    )
    return dict(zip(("python", *_PACKAGES), said.stdout.split(), strict=True))


def run_tests(interpreter, tests, log):
    """Run tests; return pytest's last line and its exit code."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}
    with open(log, "w") as file:
        done = subprocess.run(
            [interpreter, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
            cwd=ROOT,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    lines = [
        line for line in log.read_text().splitlines() if re.search(r"passed|failed|error", line)
    ]
    return (lines[-1].strip("= ") if lines else "no test ran"), done.returncode


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--stacks", nargs="+", default=list(STACKS), choices=list(STACKS))
    parser.add_argument("--pythons", nargs="+", default=[sys.executable])
    parser.add_argument("--folder", default=os.path.join(tempfile.gettempdir(), "versions"))
    parser.add_argument("--tests", nargs="+", default=TESTS)
    arguments = parser.parse_args()
    rows, failed = [], False
    for python in arguments.pythons:
        for stack in arguments.stacks:
            print(f"{python}, TensorFlow {stack}", flush=True)
            try:
                interpreter = make(python, stack, arguments.folder)
                row = {"stack": stack, **versions(interpreter)}
                log = interpreter.parents[1] / "tests.log"
                row["tests"], code = run_tests(interpreter, arguments.tests, log)
            except (subprocess.CalledProcessError, OSError) as error:
                row = {"stack": stack, **dict.fromkeys(["python", *_PACKAGES], "-")}
                row["tests"], code = f"no environment: {error}", 1
            failed |= code != 0
            rows.append(row)
            print(row, flush=True)
    if list(arguments.stacks) == list(STACKS) and arguments.tests == TESTS:
        about = f"{len(TESTS)} files of tests, those that touch TensorFlow and Keras most."
        provenance = results.provenance(results.package_versions("pip"))
        results.write_section("Versions", about, results.table(rows), provenance)
    sys.exit(failed)


if __name__ == "__main__":
    main()
