"""Take the readme's picture: the top of the demo's report, in headless Chromium.

    make demo
    python benchmarks/readme_picture.py [demo_output/report.html]

Needs Chromium on the PATH and Pillow (extra `dev`).
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile

from PIL import Image

PICTURE = pathlib.Path(__file__).parents[1] / "docs" / "images" / "report.png"
WIDTH, HEIGHT = 1200, 1075
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def photograph(page, picture, width=WIDTH, height=HEIGHT):
    """Write what a browser of this width shows of a page."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"None of {', '.join(BROWSERS)} is on the PATH: install one of them.")
    subprocess.run(
        [
            browser,
            *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            f"--window-size={width},{height}",
            f"--screenshot={picture}",
            pathlib.Path(page).resolve().as_uri(),
        ],
        check=True,
        stderr=subprocess.DEVNULL,
    )


def main():
    page = sys.argv[1] if len(sys.argv) > 1 else "demo_output/report.html"
    PICTURE.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        shot = pathlib.Path(folder, "report.png")
        photograph(page, shot)
        # Few colours: the file stays small, and the eye sees no difference.
        Image.open(shot).convert("RGB").quantize(64).save(PICTURE, optimize=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
