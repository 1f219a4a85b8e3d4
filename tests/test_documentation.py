"""The site: each page in the menu, each plugin on its page, each public call in the API."""

import importlib
import os
import re
import subprocess
import sys

import pytest

import keras_compress as kc
from keras_compress.support import plugins
from tests.conftest import ROOT

DOCS = ROOT / "docs"
MENU = re.findall(r"(?m)^ +- .*?: ([\w/.]+\.md)$", (ROOT / "mkdocs.yml").read_text())
OUTSIDE = ("../benchmarks/RESULTS.md", "../CONTRIBUTING.md")
# Page -> packages whose plugins it lists.
FAMILIES = {
    "quantization_algorithms.md": (
        "quantization.quantizers",
        "quantization.calibrators",
        "post_training.rounding",
        "clustering.initializers",
    ),
    "pruning_algorithms.md": ("pruning.criteria", "shrinking.criteria"),
    "pruning_strategies.md": ("pruning.patterns",),
    "error_analysis.md": ("analysis.causes",),
}
# Patterns are called by what they do, not by their file.
PATTERNS = {"n_of_m": "2:4", "block": "1x4"}


def test_the_menu_names_each_page_once():
    pages = sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))
    assert sorted(MENU) == pages


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_links_lead_to_files(page):
    text = (DOCS / page).read_text()
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in link:
            assert (DOCS / link).is_file(), link
            # Of what lies outside docs/ the site has these pages alone (docs/_links.py).
            assert ".." not in link or link in OUTSIDE, link


@pytest.mark.parametrize("page", FAMILIES)
def test_a_family_s_page_lists_each_of_its_plugins(page):
    text = (DOCS / page).read_text()
    for package in FAMILIES[page]:
        for name in plugins.names(f"keras_compress.{package}"):
            assert f"`{PATTERNS.get(name, name)}`" in text, name


def test_each_formula_of_a_table_has_a_source():
    for page in ("quantization_algorithms.md", "pruning_algorithms.md"):
        for line in (DOCS / page).read_text().splitlines():
            if line.startswith("| `"):
                source = line.rstrip(" |").rsplit(" | ", 1)[-1]
                assert re.search(r"\d{4}|definition|\.md\)", source), line


def test_the_api_pages_hold_every_public_name_and_every_entry_exists():
    entries = [
        entry
        for path in (DOCS / "api").glob("*.md")
        for entry in re.findall(r"(?m)^::: (\S+)$", path.read_text())
    ]
    for entry in entries:
        module, name = entry.rsplit(".", 1)
        assert hasattr(importlib.import_module(module), name), entry
    assert set(kc.__all__) - {"__version__"} <= {entry.rsplit(".", 1)[1] for entry in entries}


@pytest.mark.verify("builds the site")
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocstrings_handlers", reason="mkdocs is not installed (extra docs)")
    pytest.importorskip("material", reason="mkdocs-material is not installed (extra docs)")
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert "kmeans_plus_plus" in (tmp_path / "quantization_algorithms.html").read_text()
