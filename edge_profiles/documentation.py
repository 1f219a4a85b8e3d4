"""Writes `docs/targets.md` from the profiles, so that the page always matches the checks.

python -m keras_compress.edge_profiles.documentation docs/targets.md
"""

import sys

from keras_compress.edge_profiles import profile
from keras_compress.support.files import write_atomically

_INTRODUCTION = """# Targets

Written by `python -m keras_compress.edge_profiles.documentation docs/targets.md` from the files
in `edge_profiles/`; a test keeps both equal. `kc.check(file, profile)` checks a file against these
tables. Each figure has its source: *measured* was run, *seen* was read there, and
**unconfirmed** is from memory alone.

Your own board is a TOML file with the figures that differ. Its path works wherever a name does:

```toml
extends = "cortex_m4"
title = "My board"
flash_bytes = 450_000
sram_bytes = 96_000
```
"""
_TABLE_TITLES = {
    "operators": "Operators that {engine} supports",
    "optimized": "Fast kernels ({optimized_by})",
}
# If a table shares this fraction of its rows with an earlier one, only the other rows are shown.
_SIMILAR = 0.6


def render():
    """Return the page as Markdown."""
    targets = [profile.get(name) for name in profile.profiles()]
    parts = [_INTRODUCTION, _overview(targets)]
    shown: dict[str, list] = {table: [] for table in _TABLE_TITLES}
    for target in targets:
        parts.append(_section(target, shown))
    return "\n".join(parts).rstrip() + "\n"


def _overview(targets):
    header = (
        "profile",
        "target",
        "weight bits",
        "activation bits",
        "Dense per channel",
        "input",
        "flash",
        "SRAM",
        "channels in multiples of",
        "zeros save",
        "an unsupported operator",
    )
    return _table(header, [_overview_row(target) for target in targets])


def _overview_row(target):
    return (
        f"[`{target.name}`](#{target.name})",
        target.title,
        _bits(target.weight_bits),
        _bits(target.activation_bits_supported),
        "yes" if target.per_channel_dense else "no",
        target.input_type,
        _bytes(target.flash_bytes),
        _bytes(target.sram_bytes),
        target.channel_multiple,
        {"none": "nothing", "size": "bytes", "speed": "bytes and time"}[target.sparsity],
        _fate(target),
    )


def _bits(widths):
    return ", ".join("float" if width == 32 else str(width) for width in widths)


def _bytes(number):
    return "" if number is None else f"{number:,}"


def _fate(target):
    if target.unsupported == "error":
        return "the file does not run"
    return f"runs on {target.fallback.engine if target.fallback else 'CPU'}"


def _section(target, shown):
    lines = [f"## {target.name}", "", f"{target.title}.", ""]
    lines += [f"- {note}" for note in (*_rules(target), *target.notes)]
    for table, title in _TABLE_TITLES.items():
        rules = {name: rule.describe() for name, rule in getattr(target, table).items()}
        if rules:
            heading = title.format(engine=target.engine, optimized_by=target.optimized_by)
            lines += ["", f"### {heading}", "", *_rules_table(target, rules, shown[table])]
    lines += ["", "Sources:", "", *(_source(*item) for item in target.sources.items()), ""]
    return "\n".join(lines)


def _rules(target):
    if target.one_subgraph:
        yield "Everything after the first unsupported operator also runs elsewhere."
    if target.integer_only:
        yield "A file that computes in float is refused."
    if target.static_shapes:
        yield "A file with a dynamic batch or shape is refused."
    if target.parameter_cache_bytes:
        yield f"More than {target.parameter_cache_bytes:,} bytes of weights are streamed to it."
    if target.vela:
        options = ", ".join(f"{key} `{value}`" for key, value in target.vela.items())
        yield f"Vela is run with {options}."


def _rules_table(target, rules, shown):
    """Return the rules, or only the rows that differ if the table resembles an earlier one."""
    most_similar = max(shown, key=lambda other: _similarity(rules, other[1]), default=None)
    shown.append((target.name, rules))
    if most_similar is None or _similarity(rules, most_similar[1]) < _SIMILAR:
        return [_table(("operator", "limits"), [(f"`{n}`", text) for n, text in rules.items()])]
    name, base = most_similar
    changed = {n: text for n, text in rules.items() if base.get(n) != text}
    changed |= {n: "not supported" for n in base if n not in rules}
    lines = [f"As for [`{name}`](#{name}){', but:' if changed else '.'}"]
    if changed:
        rows = [(f"`{n}`", text) for n, text in sorted(changed.items())]
        lines += ["", _table(("operator", "limits"), rows)]
    return lines


def _similarity(rules, other):
    """Return the fraction of the operators of both tables whose rules are the same."""
    same = sum(other.get(name) == text for name, text in rules.items())
    return same / len({*rules, *other})


def _source(figure, text):
    kind, _, rest = text.partition(":")
    kind = "**unconfirmed**" if kind == "recalled" else f"*{kind}*"
    return f"- {figure}: {kind}{':' if rest else ''}{rest}"


def _table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    write_atomically(sys.argv[1], render())
