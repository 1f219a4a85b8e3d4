"""How long it takes until something happens: imports, quick commands, a device's first inference.

    python benchmarks/start_up.py

Each is a fresh process, from its start to its end, on an int8 ResNet8; they take turns. The package
is installed as users install it, into an environment of its own: the link that an editable
installation leaves costs every start of Python several hundredths of a second. Modules are
compiled beforehand by a turn that does not count. The seconds of the clock are what a user waits
for, and are held against the limit: let nothing run beside it. Those of the processor are more on
several cores, where numpy starts threads that wait busily. Writes its section of RESULTS.md;
`--section ""` prints only.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import numpy as np
import results
from evaluation_time import int8_resnet8
from training import versions

# Ends at the first inference: what comes after it is none of the start.
EVALUATE = """
import os, sys, numpy, keras_compress as kc
from keras_compress.evaluation.runtimes.litert import LiteRT
LiteRT.invoke = lambda *_: os._exit(0)
x = numpy.zeros((1, 32, 32, 3), "float32")
kc.evaluate(sys.argv[1], x, latency_runs=0, untrusted=False)
sys.exit("no inference was made")
"""
BARE = "python -c pass"
# Name -> (seconds allowed, whether beyond Python's own start, words of the command).
COMMANDS = {
    BARE: (None, False, ["-c", "pass"]),
    "import numpy": (None, True, ["-c", "import numpy"]),
    "import keras_compress": (0.05, True, ["-c", "import keras_compress"]),
    "keras-compress inspect": (
        0.5,
        False,
        ["-m", "keras_compress", "inspect", "--model", "{file}"],
    ),
    "keras-compress check": (
        0.5,
        False,
        ["-m", "keras_compress", "check", "--profile", "cortex_m4", "--model", "{file}"],
    ),
    "kc.evaluate(untrusted=False), until its first inference": (
        0.5,
        False,
        ["-c", EVALUATE, "{file}"],
    ),
}


def measure(turns):
    """Return {command: array (turns, 2) of seconds by the clock and of the processor}."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "resnet8.tflite")
        file.write_bytes(int8_resnet8())
        python, environment = install(Path(folder))
        taken = {name: [] for name in COMMANDS}
        for turn in range(turns + 1):
            for name, (_, _, words) in COMMANDS.items():
                words = [word.format(file=file) if word == "{file}" else word for word in words]
                seconds = _seconds([python, *words], environment, folder)
                if turn > 0:
                    taken[name].append(seconds)
    return {name: np.array(seconds) for name, seconds in taken.items()}


def install(folder):
    """Install this checkout; return the interpreter and the variables that it is to have."""
    venv.create(folder / "venv", symlinks=True, with_pip=False)
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", packages]
    # From a copy: pip builds where the sources are, and would leave its build there.
    left = shutil.ignore_patterns(".*", "build", "*.egg-info", "tests", "benchmarks", "docs")
    shutil.copytree(Path(__file__).parents[1], folder / "checkout", ignore=left)
    subprocess.run([*pip, folder / "checkout"], check=True)
    # From a folder of this variable no `.pth` file is read: the editable link is not followed.
    beside = Path(np.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(beside)}
    environment["PYTHONPYCACHEPREFIX"] = str(folder / "modules")
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return folder / "venv/bin/python", environment


def _seconds(command, environment, folder):
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    # Not in the checkout: Python would import the package that lies there.
    subprocess.run(command, check=True, env=environment, cwd=folder, stdout=subprocess.DEVNULL)
    clock, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return clock, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def beyond_python(taken, name):
    """Return what a command takes beyond Python's own start in each turn."""
    return taken[name] - taken[BARE]


def rows(taken):
    """Return one row a command; `seconds` is what the limit is for."""
    made = []
    for name, (limit, beyond, _) in COMMANDS.items():
        seconds = beyond_python(taken, name) if beyond else taken[name]
        clock, processor = np.median(seconds, axis=0)
        made.append(
            {
                "command": f"{name}, beyond Python" if beyond else name,
                "processor s": round(float(processor), 3),
                "clock s": round(float(clock), 3),
                "limit s": "" if limit is None else limit,
                "verdict": "" if limit is None else "holds" if clock <= limit else "missed",
            }
        )
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=11)
    parser.add_argument("--section", default="Start-up")
    options = parser.parse_args()
    taken = measure(options.turns)
    table = results.table(rows(taken))
    alone, processor = np.median(taken["import numpy"], axis=0)
    text = (
        f"Python that only imports numpy takes {alone:.2f} s here, and {processor:.2f} of the "
        "processor's. The verdicts are on the clock."
    )
    print(text, table, sep="\n\n")
    if options.section:
        facts = results.provenance(versions(), turns=options.turns)
        results.write_section(options.section, facts, text, table)


if __name__ == "__main__":
    main()
