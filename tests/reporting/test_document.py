import html.parser
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError, MissingPackageError
from keras_compress.evaluation.latency import Latency
from keras_compress.evaluation.result import (
    BaselineResult,
    EvaluationResult,
    ModelResult,
    OutputResult,
    RuntimeInfo,
)
from keras_compress.evaluation.weight_histogram import WeightHistogram
from keras_compress.evaluation.weights import WeightTensor
from keras_compress.reporting import plots


def make_result(accuracy=0.96, size=84_328, baseline=True, layer="conv <1>", **fields):
    weights = tuple(
        WeightTensor(f"{layer}/kernel", layer, "CONV_2D", (4, 3, 3, 2), "int8", 72, zeros)
        for zeros in (54, 18)
    )
    bell = np.exp(-(np.linspace(-3, 3, 51) ** 2))
    before = BaselineResult(
        metrics={"accuracy": 0.97},
        bytes=303_944,
        kind="tflite",
        histogram=WeightHistogram(tuple((9000 * bell).astype(int).tolist()), 3),
    )
    return EvaluationResult(
        samples=450,
        model=ModelResult(
            metrics={"accuracy": accuracy},
            bytes=size,
            gzip_bytes=33_552,
            sparsity=0.5,
            latency_ms=Latency(0.00751, 0.0081, 100, 1),
            weights=weights,
            histogram=WeightHistogram(tuple((3000 * bell).astype(int).tolist()), 90_000),
            **fields,
        ),
        baseline=before if baseline else None,
        outputs=(
            OutputResult(
                name="out",
                metrics={"accuracy": accuracy},
                baseline_metrics={"accuracy": 0.97} if baseline else {},
                label_agreement=0.985 if baseline else None,
                output_error={"mse": 1e-4, "rmse": 1e-2, "mae": 5e-3, "sqnr_db": 31.25}
                if baseline
                else None,
            ),
        ),
        main_output="out",
        metric_choice="The targets are labels, so the metric is accuracy.",
        runtime=RuntimeInfo("litert", "2.3.0", 2, 64),
        versions={"keras_compress": "0.1.0"},
    )


class Outline(html.parser.HTMLParser):
    """Collects what a page refers to, and checks that its tags are closed."""

    VOID = {"meta", "link", "img", "br"}

    def __init__(self, text):
        super().__init__()
        self.open, self.references, self.tags = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.references += [v for k, v in attributes if k in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.references += [v for k, v in attributes if k in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_needs_nothing_beside_itself(tmp_path):
    path = kc.report(make_result()).save(tmp_path / "new" / "report.html")
    assert path == tmp_path / "new" / "report.html"
    text = path.read_text("utf-8")
    outline = Outline(text)
    assert all(reference.startswith("#") for reference in outline.references)
    assert not re.search(r"url\((?!#)|@import|<script|<link", text)
    addresses = set(re.findall(r"https?://[^\"'\s<>]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert outline.tags.count("svg") == 3
    assert "viewport" in text
    assert os.listdir(path.parent) == ["report.html"]


def test_page_shows_the_figures():
    text = kc.report(make_result(), title="Digits & <more>").to_html()
    for words in ("96.00%", "-1.00 points", "84.3 kB", "3.6 times smaller", "31.2 dB", "98.50%"):
        assert words in text, words
    for words in ("7.51 us", "50.0%", "303,944", "0.277 x", "Digits &amp; &lt;more&gt;"):
        assert words in text, words


def test_names_of_users_are_escaped():
    text = kc.report({"<script>alert(1)</script>": make_result(), "b": make_result()}).to_html()
    assert "<script" not in text
    Outline(text)


def test_same_result_gives_the_same_page():
    assert kc.report(make_result()).to_html() == kc.report(make_result()).to_html()


def test_several_results_are_laid_side_by_side():
    results = {"dense": make_result(0.965, 90_000), "sparse": make_result(0.93, 40_000)}
    report = kc.report(results)
    text = report.to_html()
    assert text.count('class="kc-tiles"') == 2
    assert text.count("against bytes</figcaption>") == 1
    lines = str(report).splitlines()
    assert len(lines) == 4
    assert lines[1].split()[:4] == ["float", "baseline", "97.00%", "303,944"]
    assert lines[3].startswith("sparse")
    assert "93.00%" in lines[3]
    assert set(report.to_json()["results"]) == {"dense", "sparse"}
    assert list(kc.report([make_result(), make_result()]).results) == ["model 1", "model 2"]


def test_history_gives_curves_of_each_kind():
    history = {"loss": [1, 0.5], "val_loss": [1.1, 0.7], "sparsity": np.array([0.0, 0.5])}
    report = kc.report(make_result(), history=history)
    assert [title for title, _ in plots.training_curves(report.history)] == ["loss", "sparsity"]
    assert report.to_html().count("<svg") == 5
    assert json.loads(json.dumps(report.to_json()))["history"]["sparsity"] == [0.0, 0.5]

    class History:
        pass

    fitted = History()
    fitted.history = history
    assert kc.report(make_result(), history=fitted) == report


def test_without_baseline_weights_and_latency():
    result = make_result(baseline=False)
    bare = ModelResult(metrics={}, bytes=300, gzip_bytes=200, sparsity=None, latency_ms=None)
    result = EvaluationResult(**{**vars(result), "model": bare})
    text = kc.report(result).to_html()
    assert "<svg" not in text
    assert "300 bytes" in text
    Outline(text)


def test_json_is_that_of_the_result(tmp_path):
    result = make_result()
    path = kc.report(result).save(tmp_path / "report.json")
    assert json.loads(path.read_text()) == json.loads(json.dumps(result.to_json()))


def test_text_is_that_of_the_result(tmp_path):
    result = make_result(arena={"total_bytes": 28_080, "head_bytes": 24_576, "tail_bytes": 3504})
    path = kc.report(result).save(tmp_path / "report.txt")
    assert path.read_text() == f"{result}\n"
    assert "28,080 bytes" in path.read_text()


def test_notebooks_show_the_page_without_its_frame():
    text = kc.report(make_result())._repr_html_()
    outline = Outline(text)
    assert "html" not in outline.tags
    assert "svg" in outline.tags
    rules = re.findall(
        r"^\s*([^@{}/][^{}]*)\{", re.search("<style>(.*?)</style>", text, re.S)[1], re.M
    )
    assert rules
    assert all(part.strip().startswith(".kc-report") for rule in rules for part in rule.split(","))


@pytest.mark.parametrize("name", ["report", "report.pdf", "report.html.gz"])
def test_other_endings_are_refused(tmp_path, name):
    with pytest.raises(InvalidArgumentError, match=r"\.html, \.json, \.txt. Received"):
        kc.report(make_result()).save(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("result", [None, {}, [], {"a": 3}, "report"])
def test_what_is_no_result_is_refused(result):
    with pytest.raises(InvalidArgumentError, match="what kc.evaluate returned"):
        kc.report(result)


def test_what_is_no_history_is_refused():
    with pytest.raises(InvalidArgumentError, match="object of type list"):
        kc.report(make_result(), history=[1, 2])


def test_a_failure_while_drawing_leaves_the_old_page(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")
    monkeypatch.setattr(plots, "layer_sparsity", lambda result: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        kc.report(make_result()).save(path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.html"]


def test_plain_installation_has_text_and_json_and_says_what_html_needs(tmp_path, monkeypatch):
    class Blocker:
        @staticmethod
        def find_spec(name, *_):
            if name.split(".")[0] in ("matplotlib", "jinja2"):
                raise ModuleNotFoundError(name)

    monkeypatch.setattr(sys, "meta_path", [Blocker, *sys.meta_path])
    for name in [n for n in sys.modules if n.split(".")[0] in ("matplotlib", "jinja2")]:
        monkeypatch.delitem(sys.modules, name)
    report = kc.report(make_result())
    report.save(tmp_path / "report.json")
    report.save(tmp_path / "report.txt")
    with pytest.raises(MissingPackageError, match=r'pip install "keras-compress\[report\]"'):
        report.save(tmp_path / "report.html")
    assert report._repr_html_() is None
    assert not (tmp_path / "report.html").exists()


def test_import_is_light():
    code = (
        "import sys, keras_compress.reporting.document;"
        "heavy = {'matplotlib', 'jinja2', 'keras', 'tensorflow'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_plots_are_drawings_with_a_name():
    for svg in (
        plots.weight_histogram(make_result()),
        plots.layer_sparsity(make_result()),
        plots.metric_against_bytes({"model": make_result()}, "accuracy"),
    ):
        root = ElementTree.fromstring(svg)
        assert root.get("role") == "img"
        assert root.get("aria-label")
        assert root.get("viewBox")
        assert root.get("width") is root.get("height") is None


def test_one_point_makes_no_plot():
    alone = {"model": make_result(baseline=False)}
    assert plots.metric_against_bytes(alone, "accuracy") is None
    assert plots.metric_against_bytes({"model": make_result()}, "mae") is None


def test_layers_of_the_same_name_are_told_apart():
    labels = plots.layer_labels(make_result(layer="a" * 30).model.weights)
    assert labels == [f"…{'a' * 23} 1", f"…{'a' * 23} 2"]


def test_many_layers_show_the_largest():
    result = make_result()
    many = tuple(
        WeightTensor(f"l{k}", f"l{k}", "CONV_2D", (k, 2), "int8", 2 * k, k) for k in range(1, 60)
    )
    result = EvaluationResult(
        **{**vars(result), "model": ModelResult(**{**vars(result.model), "weights": many})}
    )
    svg = plots.layer_sparsity(result)
    assert "l59" in svg
    assert "<!-- l59 -->" in svg
    assert "<!-- l1 -->" not in svg
