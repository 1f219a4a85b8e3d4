"""The quick suite in an environment for each set of versions that is supported.

    python benchmarks/versions.py [--only NAME ...] [--folder DIR] [--workers N] [--tests FILE ...]

Environments are made in the folder and used again until setup.cfg changes, 2.5 GB each: a few
minutes to install, then as long as the tests take. `--only` runs some rows; the others keep what
the last run found. Once each row has run the whole quick suite, the table goes into RESULTS.md,
and into README.md if it shows one. Ends with status 1 if a test failed or an environment could
not be made.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import readme_tables
import results

ROOT = Path(__file__).resolve().parents[1]
# Each row: the interpreter, and what pip is held to. Without a pin pip takes the newest release.
ENVIRONMENTS = {
    "newest, Python 3.11": ("3.11", []),
    "newest, Python 3.12": ("3.12", []),
    "newest, Python 3.13": ("3.13", []),
    "oldest": (
        "3.11",
        ["tensorflow==2.19.0", "keras==3.9.0", "tf_keras==2.19.0", "numpy==1.26.*"],
    ),
    "Colab": (
        "3.12",
        ["tensorflow==2.19.*", "keras==3.10.*", "tf_keras==2.19.*", "numpy==2.0.*"],
    ),
}
PACKAGES = ("tensorflow", "keras", "numpy", "ai-edge-litert")
PROGRAM = (
    "import importlib.metadata as m, platform, sys; "
    "print(platform.python_version(), *(m.version(name) for name in sys.argv[1:]))"
)


def interpreter_of(python):
    """Return the command of a Python version: on the PATH, or where pyenv keeps it."""
    kept = sorted(Path.home().glob(f".pyenv/versions/{python}.*/bin/python"))
    for command in (f"python{python}", *map(str, kept)):
        path = shutil.which(command)
        if path and subprocess.run([path, "-c", ""], capture_output=True).returncode == 0:
            return path
    raise OSError(f"no Python {python} on the PATH; install one, with venv")


def file_name(name):
    """Return the name of a row's environment and files."""
    return re.sub(r"\W+", "_", name)


def make(name, folder):
    """Make an environment, or take the one that is there; return its interpreter."""
    python, pins = ENVIRONMENTS[name]
    place = Path(folder) / file_name(name)
    interpreter = place / "bin/python"
    complete = place / "complete"
    needs = (ROOT / "setup.cfg").read_text()
    if complete.exists() and complete.read_text() == needs:
        return interpreter
    shutil.rmtree(place, ignore_errors=True)
    subprocess.run([interpreter_of(python), "-m", "venv", place], check=True)
    constraints = place / "constraints.txt"
    constraints.write_text("".join(f"{pin}\n" for pin in pins))
    install = [interpreter, "-m", "pip", "install", "--quiet", "-c", constraints]
    subprocess.run([*install, "--editable", f"{ROOT}[dev]"], check=True)
    complete.write_text(needs)
    return interpreter


def versions(interpreter):
    """Return the versions of Python and of PACKAGES in an environment."""
    answer = subprocess.run(
        [interpreter, "-c", PROGRAM, *PACKAGES], capture_output=True, text=True, check=True
    )
    return dict(zip(("Python", *PACKAGES), answer.stdout.split(), strict=True))


def run_tests(interpreter, tests, workers, log):
    """Run tests; return the words of pytest's last line, without its time, and its exit code."""
    path = f"{interpreter.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "PATH": path}
    command = [interpreter, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not verify"]
    command += ["-n", str(workers), "--dist", "worksteal", *tests]
    with open(log, "w") as file:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT
        )
    counts = re.findall(r"\d+ (?:passed|failed|skipped|errors?)\b", log.read_text()[-400:])
    return ", ".join(counts) or "no test ran", done.returncode


def row_of(name, arguments):
    """Return a row of the table, and whether it is green."""
    try:
        interpreter = make(name, arguments.folder)
        row = {"environment": name, **versions(interpreter)}
        log = interpreter.parents[1] / "tests.log"
        row["`make test`"], code = run_tests(interpreter, arguments.tests, arguments.workers, log)
    except (subprocess.CalledProcessError, OSError) as error:
        row = {"environment": name, **dict.fromkeys(["Python", *PACKAGES], "-")}
        row["`make test`"], code = f"no environment: {error}", 1
    return row, code == 0


def publish(folder):
    """Write the rows of all environments into RESULTS.md and README.md."""
    kept = [Path(folder) / f"{file_name(name)}.json" for name in ENVIRONMENTS]
    if not all(path.exists() for path in kept):
        return
    table = results.table([json.loads(path.read_text()) for path in kept])
    about = "The quick suite (`make test`, without the linter) in each environment."
    results.write_section("Versions", about, table, results.provenance({}))
    readme_tables.main()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="+", default=list(ENVIRONMENTS), choices=ENVIRONMENTS)
    parser.add_argument("--folder", default=os.path.join(tempfile.gettempdir(), "versions"))
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--tests", nargs="+", default=[])
    arguments = parser.parse_args()
    Path(arguments.folder).mkdir(parents=True, exist_ok=True)
    all_green = True
    for name in arguments.only:
        print(name, flush=True)
        row, green = row_of(name, arguments)
        all_green &= green
        print(row, flush=True)
        if not arguments.tests:
            path = Path(arguments.folder) / f"{file_name(name)}.json"
            path.write_text(json.dumps(row))
    publish(arguments.folder)
    sys.exit(not all_green)


if __name__ == "__main__":
    main()
