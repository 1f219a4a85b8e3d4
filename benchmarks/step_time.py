"""What compression adds to a training step: ratios to plain `fit`, measured in turns in one run.

    python benchmarks/step_time.py --networks resnet8 mobilenet_v1_025 --batch_sizes 64 256

Each variant has a model of its own. The variants take turns of a few steps each, in an order
that is drawn for each turn, so that a machine's drift meets all of them; a ratio is that of the
medians over the turns. All processes keep the memory that they free (`allocator.py`). A step runs
from the begin of one batch to the begin of the next, callbacks included. Keras compiles with XLA
by default, which is slower on a CPU; `--xla yes` measures with it.
tensorflow-model-optimization takes its turns with the same network in Keras 2, in a process of
its own that waits meanwhile; a last column divides our step by its step.
Writes its section of RESULTS.md; `--section ""` prints only.
"""

import argparse
import contextlib
import itertools
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import results
import step_turns
from allocator import keep_memory
from networks import NETWORKS
from step_turns import StepTimer
from training import versions

import keras_compress as kc

STEPS = 6
NEVER = 10**9


class Timer(StepTimer, keras.callbacks.Callback):
    """`StepTimer` for Keras 3."""


def pruned():
    schedule = kc.PolynomialDecay(final_sparsity=0.8, begin_step=0, end_step=NEVER)
    return kc.PruningCallback(schedule)


def variants(network):
    """Return {variant: (model, callbacks)}; the plain model is the first."""
    plain = NETWORKS[network]()
    pruning, quantization = kc.Pruning(), kc.Quantization()
    return {
        "plain": (plain, []),
        "pruning": (kc.compress(plain, pruning=pruning), [pruned()]),
        "quantization": (
            kc.compress(plain, quantization=quantization),
            [kc.QuantizationCallback()],
        ),
        "pruning and quantization": (
            kc.compress(plain, pruning=pruning, quantization=quantization),
            [pruned(), kc.QuantizationCallback()],
        ),
    }


@contextlib.contextmanager
def peer(network, batch_size):
    """Start tfmot's process; yield a function that takes a turn there: {variant: seconds}."""
    script = Path(__file__).with_name("tfmot_steps.py")
    command = [sys.executable, script, network, str(batch_size), str(STEPS)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def turn():
            print(file=process.stdin, flush=True)
            return json.loads(process.stdout.readline())

        yield turn


def prepare(model, xla=False):
    """Compile a model as all are whose steps are looked at."""
    optimizer = keras.optimizers.SGD(0.01, 0.9)
    model.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=xla)


def step_times(network, batch_size, turns, xla=False, peer_turn=dict):
    """Return {variant: [seconds per step of each turn]}.

    Args:
        network: A name in `networks.NETWORKS`.
        batch_size: Images per step.
        turns: How many are timed, after one that is not.
        xla: Whether XLA compiles our models.
        peer_turn: Takes the peer's turn: returns {variant: seconds per step}.
    """
    trained = variants(network)
    for model, _ in trained.values():
        prepare(model, xla)
    rounds = []
    for ours in itertools.islice(step_turns.turns(trained, Timer(), batch_size, STEPS), turns + 1):
        rounds.append(ours | {f"tfmot {name}": seconds for name, seconds in peer_turn().items()})
    return {name: [times[name] for times in rounds[1:]] for name in rounds[0]}


def ratios(times, to="plain"):
    """Return {variant: ratio of its median step to that of the variant `to`}."""
    return {
        name: float(np.median(seconds) / np.median(times[to])) for name, seconds in times.items()
    }


def row(network, batch_size, xla, times):
    """Return a row: milliseconds, ratios to our plain step, ratios to tfmot's."""
    to_plain = ratios(times)
    name = f"{network}, batch {batch_size}, {'with' if xla else 'without'} XLA"
    cells = {"network": name, "plain ms": round(1000 * float(np.median(times["plain"])), 1)}
    for variant in ("pruning", "quantization", "pruning and quantization"):
        cells[variant] = round(to_plain[variant], 3)
    for variant in ("plain", "pruning", "quantization"):
        if (theirs := f"tfmot {variant}") in times:
            cells[f"{variant}, ours / tfmot's"] = round(ratios(times, theirs)[variant], 2)
    return cells


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="+", default=["resnet8", "mobilenet_v1_025"])
    parser.add_argument("--batch_sizes", nargs="+", type=int, default=[64, 256])
    parser.add_argument("--xla", nargs="+", choices=["no", "yes"], default=["no"])
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--section", default="Training step: ratio to plain fit")
    options = parser.parse_args()
    keep_memory()
    rows = []
    for case in itertools.product(options.networks, options.batch_sizes, options.xla):
        network, batch_size, xla = *case[:2], case[2] == "yes"
        with peer(network, batch_size) as turn:
            times = step_times(network, batch_size, options.turns, xla, turn)
        rows.append(row(network, batch_size, xla, times))
        print(rows[-1], flush=True)
    if options.section:
        packages = results.package_versions("tensorflow-model-optimization", "tf_keras")
        packages = {**versions(), **packages}
        facts = results.provenance(packages, turns=f"{options.turns} of {STEPS} steps")
        results.write_section(options.section, facts, results.table(rows))


if __name__ == "__main__":
    main()
