"""RESULTS.md: one section per benchmark, rewritten whole by the script that measured it."""

import datetime
import importlib.metadata
import os
import platform
import shlex
import sys
from pathlib import Path

import numpy as np

from keras_compress.support.files import write_atomically

RESULTS = Path(__file__).with_name("RESULTS.md")
HEAD = (
    "# Results\n\nEach section is written by the script that its command names. Figures of "
    "different sections may come from\ndifferent days and machines: compare within a section.\n"
)


def table(rows):
    """Return a Markdown table of dicts that share their keys; numbers align to the right."""
    columns = list(rows[0])
    aligned = ["--:" if isinstance(rows[0][c], int | float) else "---" for c in columns]
    lines = [columns, aligned, *([str(row[c]) for c in columns] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def provenance(versions, **facts):
    """Return the lines that say when, by which command and with what a section was measured."""
    command = "python benchmarks/" + shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    facts = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {_load()}",
        **facts,
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }
    return "\n".join([f"    {command}\n", *(f"- {name}: {value}" for name, value in facts.items())])


def spread(values):
    """Say the mean and the sample deviation."""
    deviation = np.std(values, ddof=1) if len(values) > 1 else 0.0
    return f"{np.mean(values):.2f} ± {deviation:.2f}"


def package_versions(*names):
    """Return the installed version of each package; none of them is imported for that."""
    return {name: importlib.metadata.version(name) for name in names}


def _load():
    """Say how much of the machine others wanted meanwhile, this script included."""
    return f"load {os.getloadavg()[2]:.1f}" if hasattr(os, "getloadavg") else "load unknown"


def write_section(title, *paragraphs, path=RESULTS):
    """Put a section into RESULTS.md, in the place of the one with that title if there is one."""
    path = Path(path)
    head, *sections = (path.read_text() if path.exists() else HEAD).split("\n## ")
    body = "\n\n".join([title, *paragraphs]) + "\n"
    titles = [section.partition("\n")[0] for section in sections]
    if title in titles:
        sections[titles.index(title)] = body
    else:
        sections.append(body)
    text = "\n## ".join(part.rstrip("\n") + "\n" for part in [head, *sections])
    write_atomically(path, text)
