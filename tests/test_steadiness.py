"""A test gives the same answer on a slow machine: no test under `tests/` asserts on a clock.

Work is counted instead: calls, bytes read, iterations. What must not last for ever is given a
deadline and then asserts what came of it.
"""

import ast
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
CLOCKS = {"time", "monotonic", "perf_counter", "process_time", "thread_time", "default_timer"}
CLOCKS |= {f"{name}_ns" for name in CLOCKS}
MODULES = ("time", "timeit")
QUALIFIED = {f"{module}.{name}" for module in MODULES for name in CLOCKS}


def _asserted_clocks(source):
    """Return the lines of the assertions in a source that depend on what a clock read.

    Followed are names: `start = time.time()`, then `took = time.time() - start`, then
    `assert took < 5`. A loop that waits until a deadline asserts nothing.
    """
    tree = ast.parse(source)
    clocks = _clock_functions(tree)
    lines = []
    for function in [tree, *(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef))]:
        readings = _readings(function, clocks)
        lines += [
            node.lineno
            for node in ast.walk(function)
            if isinstance(node, ast.Assert) and _reads(node.test, clocks, readings)
        ]
    return sorted(set(lines))


def _clock_functions(tree):
    """Return the names of clocks that a module imports by themselves."""
    return {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in MODULES
        for alias in node.names
        if alias.name in CLOCKS
    }


def _readings(function, clocks):
    """Return the names in a function that hold what a clock read, or what follows from it."""
    names, size = set(), -1
    bindings = [binding for node in ast.walk(function) for binding in _bindings(node)]
    while len(names) > size:
        size = len(names)
        for target, value in bindings:
            if _reads(value, clocks, names):
                names |= {name.id for name in ast.walk(target) if isinstance(name, ast.Name)}
    return names


def _bindings(node):
    """Return (target, value) of each binding that a node of the syntax tree makes."""
    if isinstance(node, ast.Assign):
        return [(target, node.value) for target in node.targets]
    if isinstance(node, (ast.AugAssign, ast.NamedExpr)):
        return [(node.target, node.value)]
    if isinstance(node, (ast.For, ast.comprehension)):
        return [(node.target, node.iter)]
    return []


def _reads(expression, clocks, names):
    """Return whether an expression reads a clock, or a name that holds a reading."""
    for node in ast.walk(expression):
        if isinstance(node, ast.Name) and node.id in names | clocks:
            return True
        if isinstance(node, ast.Attribute) and ast.unparse(node) in QUALIFIED:
            return True
    return False


def test_no_assertion_depends_on_a_clock():
    lines = {path: _asserted_clocks(path.read_text()) for path in FOLDER.rglob("*.py")}
    assert len(lines) > 200
    assert not [f"{path}:{line}" for path, asserted in lines.items() for line in asserted]


ASSERTING = """
start = time.monotonic()
work()
assert time.monotonic() - start < 5
"""
ASSERTING_A_NAME = """
def test_it():
    start = time.perf_counter()
    work()
    seconds = [time.perf_counter() - start]
    assert max(seconds) < 5, "too slow"
"""
ASSERTING_IN_A_LOOP = """
ends = [time.time() for _ in range(3)]
for end in ends:
    assert end < 5
"""
ASSERTING_A_FUNCTION = """
from time import perf_counter as now
start = now()
assert now() < start + 5
"""
WAITING = """
deadline = time.monotonic() + 60
while not is_done() and time.monotonic() < deadline:
    time.sleep(0.01)
assert is_done()
"""


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        (ASSERTING, [4]),
        (ASSERTING_A_NAME, [6]),
        (ASSERTING_IN_A_LOOP, [4]),
        (ASSERTING_A_FUNCTION, [4]),
        (WAITING, []),
    ],
    ids=["difference", "name", "loop", "imported", "deadline"],
)
def test_clocks_in_assertions_are_seen_and_deadlines_are_not(source, lines):
    assert _asserted_clocks(source) == lines
