from pathlib import Path

import pytest

from keras_compress.edge_profiles import documentation, profile

PAGE = Path(__file__).resolve().parents[2] / "docs" / "targets.md"


def test_page_is_the_one_that_the_profiles_make():
    wanted = documentation.render()
    assert PAGE.read_text(encoding="utf-8") == wanted, (
        "run: python -m keras_compress.edge_profiles.documentation docs/targets.md"
    )


@pytest.mark.parametrize("name", profile.profiles())
def test_page_shows_each_target_with_its_doubts(name):
    section = documentation.render().split(f"\n## {name}\n")[1].split("\n## ")[0]
    target = profile.get(name)
    assert section.count("**unconfirmed**") == len(target.unconfirmed)
    for note in target.notes:
        assert note in section


def test_table_much_like_an_earlier_one_shows_what_differs():
    page = documentation.render()
    rp2040 = page.split("\n## rp2040\n")[1].split("\n## ")[0]
    assert "As for [`cortex_m4`](#cortex_m4), but:" in rp2040
    assert "| `FULLY_CONNECTED` |" in rp2040
    assert "| `ABS` |" not in rp2040
    assert page.count("| `ABS` |") < len(profile.profiles()) / 2
