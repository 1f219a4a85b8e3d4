"""What compression adds to a training step: ratios to plain `fit`, measured in turns in one run.

    python benchmarks/step_time.py --networks resnet8 mobilenet_v1_025 --batch_sizes 64 256
    python benchmarks/step_time.py --networks cnn mlp resnet8 --batch_sizes 8 32 --xla auto no \
        --no-peer --section "Training step: small networks and batches"

Each variant has a model of its own. The variants take turns of a few steps each, in an order
that is drawn for each turn, so that a machine's drift meets all of them; a ratio is that of the
medians over the turns. All processes keep the memory that they free (`allocator.py`). A step runs
from the begin of one batch to the begin of the next, callbacks included. `--xla auto` is Keras'
default: XLA where TensorFlow sees a GPU only; `cnn` and `mlp` have no BatchNormalization.
tensorflow-model-optimization takes its turns with the same network in Keras 2, in a process of
its own that waits meanwhile (`--no-peer` leaves it out); last columns divide our step by its step.
Writes its section of RESULTS.md; `--section ""` prints only.
"""

import argparse
import contextlib
import itertools
import json
import subprocess
import sys
import warnings
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
JIT_COMPILE = {"no": False, "yes": True, "auto": "auto"}
CASES = {"no": "without XLA", "yes": "with XLA", "auto": 'jit_compile="auto"'}


class Timer(StepTimer, keras.callbacks.Callback):
    """`StepTimer` for Keras 3."""


def cnn():
    """Return a small convolutional network without BatchNormalization."""
    x = inputs = keras.Input((32, 32, 3))
    for filters in (8, 16, 32):
        x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Dense(10, activation="softmax")(keras.layers.Flatten()(x))
    return keras.Model(inputs, x)


def mlp():
    """Return a network of three dense layers."""
    x = inputs = keras.Input((32, 32, 3))
    x = keras.layers.Flatten()(x)
    for units in (64, 64):
        x = keras.layers.Dense(units, activation="relu")(x)
    return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))


WITHOUT_NORMALIZATION = {"cnn": cnn, "mlp": mlp}


def pruned():
    # Beyond every turn, which the callback says of each.
    warnings.filterwarnings("ignore", message=".*fit will run")
    schedule = kc.PolynomialDecay(final_sparsity=0.8, begin_step=0, end_step=NEVER)
    return kc.PruningCallback(schedule)


def variants(network):
    """Return {variant: (model, callbacks)}; the plain model is the first."""
    plain = (NETWORKS | WITHOUT_NORMALIZATION)[network]()
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
        xla: The argument `jit_compile` of our models: true, false or `"auto"`.
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
    name = f"{network}, batch {batch_size}, {CASES[xla]}"
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
    parser.add_argument("--xla", nargs="+", choices=JIT_COMPILE, default=["no"])
    parser.add_argument("--peer", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--section", default="Training step: ratio to plain fit")
    options = parser.parse_args()
    keep_memory()
    rows = []
    for case in itertools.product(options.networks, options.batch_sizes, options.xla):
        network, batch_size, xla = case
        with peer(network, batch_size) if options.peer else contextlib.nullcontext(dict) as turn:
            times = step_times(network, batch_size, options.turns, JIT_COMPILE[xla], turn)
        rows.append(row(network, batch_size, xla, times))
        print(rows[-1], flush=True)
    if options.section:
        peers = ("tensorflow-model-optimization", "tf_keras") if options.peer else ()
        packages = {**versions(), **results.package_versions(*peers)}
        facts = results.provenance(packages, turns=f"{options.turns} of {STEPS} steps")
        results.write_section(options.section, facts, results.table(rows))


if __name__ == "__main__":
    main()
