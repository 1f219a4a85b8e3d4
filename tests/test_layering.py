"""Imports go one way, and what a board imports leaves TensorFlow and Keras alone."""

import ast
import fnmatch
import functools
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# From the ground up; a module may import what stands at its own height or below. The longest
# pattern that a module matches says where it stands. A new package stands below the command line
# unless it is named here.
HEIGHTS = [
    ["_version", "errors"],
    ["archives", "files", "findings", "plugins", "spec", "recipe", "graph", "subclassed"],
    ["replicas", "xla"],
    ["converters.*flatbuffer*", "converters.layer_names", "converters.file_kind"],
    ["converters.micro.encodings*"],
    ["converters.micro.decoding"],
    ["edge_profiles*"],
    ["evaluation*"],
    ["layers*", "parts*", "pruning*", "quantization*", "clustering*"],
    ["wrapper_config", "rounded_kernels"],
    ["wrapper"],
    ["training_step", "phase_callback", "pruning.targets"],
    ["pruning*.callback", "quantization.callback"],
    [
        "clustering.callback",
        "post_training.streams",
        "post_training.batch_norm_statistics",
        "recipe_steps",
        "layer_copies",
        "apply",
        "apply_checks",
        "custom_model",
        "serialization",
        "accuracy_guard",
        "distilling*",
    ],
    ["converters*"],
    ["reporting*"],
    ["*"],
    ["searching*"],
    ["cli*", "__main__"],
]
# What turns a model into a file does not know who runs or shows the file.
SEPARATE = [("edge_profiles*", "converters.tflite"), ("layers*", "evaluation*")]
SEPARATE += [(side, "evaluation*") for side in ("pruning.c*", "quantization*", "wrapper", "apply")]


def _sources():
    for folder in ("keras_compress", "converters", "edge_profiles"):
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            parts = parts[1:] if folder == "keras_compress" else parts
            name = ".".join(part for part in parts if part != "__init__")
            if name:
                yield name, path


@functools.cache
def _imports():
    """Map each module, named without `keras_compress.`, to those of the package it imports."""
    sources = dict(_sources())
    return {name: set(_imported(path, sources)) for name, path in sources.items()}


def _imported(path, known):
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports hide where they go"
            members = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if _short(name) in known else node.module for name in members]
        yield from (_short(name) for name in names if _short(name) in known)


def _short(name):
    return name.removeprefix("keras_compress.")


def _height(module):
    matches = [
        (len(pattern), height)
        for height, patterns in enumerate(HEIGHTS)
        for pattern in patterns
        if fnmatch.fnmatch(module, pattern)
    ]
    return max(matches)[1]


def test_no_module_imports_one_that_stands_higher():
    upward = [
        f"{module} imports {other}"
        for module, others in _imports().items()
        for other in others
        if _height(other) > _height(module)
    ]
    assert not upward


def test_no_import_leads_back_to_where_it_came_from():
    tuple(graphlib.TopologicalSorter(_imports()).static_order())


@pytest.mark.parametrize(("one", "other"), SEPARATE)
def test_separate_parts_do_not_know_each_other(one, other):
    assert not [
        (module, found)
        for module, others in _imports().items()
        for found in others
        if fnmatch.fnmatch(module, one) and fnmatch.fnmatch(found, other)
    ]


def test_only_graph_reads_private_fields_of_keras():
    private = (
        "_inbound_nodes",
        "_nodes_by_depth",
        "_functional",
        "_keras_history",
        "_flatten_layers",
    )
    private += ("_inputs_struct", "_outputs_struct")
    readers = {
        name
        for name, path in _sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in private
    }
    assert readers <= {"graph"}


def test_no_module_carries_a_public_name():
    import keras_compress as kc

    top = {name for name, _ in _sources() if "." not in name} | {"converters", "edge_profiles"}
    assert not top & set(kc.__all__)


def test_a_board_imports_neither_tensorflow_nor_keras():
    code = (
        "import sys, keras_compress, keras_compress.evaluation, keras_compress.edge_profiles\n"
        "import keras_compress as kc\n"
        "kc.evaluate, kc.check, kc.inspect, kc.profiles(), kc.Pruning, kc.CompressionError\n"
        "import keras_compress.cli.main\n"
        "heavy = {name.split('.')[0] for name in sys.modules}\n"
        "print(sorted(heavy & {'tensorflow', 'keras', 'tf_keras', 'jax', 'torch', 'matplotlib'}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
