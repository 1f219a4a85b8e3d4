"""Does the cost of shrinking grow linearly with the number of layers?

    python benchmarks/shrink_cost.py     # about a minute

Residual networks of one width and more and more blocks are read, scored and shrunk; the
processor time of each part divided by the number of layers must not grow.
"""

import argparse
import json
import time

import keras
from keras import layers
from results import provenance, table, write_section

from keras_compress.shrinking.budget import Budget, Costs
from keras_compress.shrinking.constants import free_groups, propagate_constants
from keras_compress.shrinking.dependency_graph import DependencyGraph
from keras_compress.shrinking.group_statistics import GroupStatistics
from keras_compress.shrinking.removal import remove
from keras_compress.shrinking.scoring import resolve_criterion, score
from keras_compress.shrinking.selection import SelectionOptions
from keras_compress.shrinking.shrinking import groups_to_keep


def residual_network(blocks, filters=32):
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(filters, 3, padding="same")(inputs)
    for _ in range(blocks):
        y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(y)
        x = layers.ReLU()(layers.Add()([x, layers.BatchNormalization()(y)]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))


def measure(blocks):
    model = residual_network(blocks)
    marks = [time.process_time()]
    graph = DependencyGraph(model)
    marks.append(time.process_time())
    costs, free = Costs(graph), free_groups(graph, propagate_constants(graph))
    scores = score(resolve_criterion("l2_norm"), GroupStatistics(graph))
    keep = groups_to_keep(graph, costs, Budget("macs", 0.5), scores, free, SelectionOptions())
    marks.append(time.process_time())
    remove(graph, keep)
    marks.append(time.process_time())
    parts = [after - before for before, after in zip(marks, marks[1:], strict=False)]
    count = len(graph.graph.calls)
    return {
        "blocks": blocks,
        "layers": count,
        **dict(
            zip(("graph_s", "choice_s", "removal_s"), (round(p, 3) for p in parts), strict=True)
        ),
        "ms_per_layer": [round(part / count * 1e3, 3) for part in parts],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("blocks", nargs="*", type=int, default=[10, 20, 40, 80, 160])
    options = parser.parse_args()
    measure(5)  # the first call pays for imports
    rows = [measure(blocks) for blocks in options.blocks]
    for row in rows:
        print(json.dumps(row), flush=True)
    text = "Processor seconds to read, choose and remove half of the MACs of residual networks."
    facts = {"keras": keras.__version__}
    write_section("Removing channels: cost by layers", text, table(rows), provenance(facts))


if __name__ == "__main__":
    main()
