"""Run the examples of the gallery and write its page: ``python docs/gallery.py``, or with the names of some of them.

Each script of ``docs/gallery`` draws one picture and saves it beside itself; the page shows them all with their code.
"""

import os
import re
import runpy
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

HERE = Path(__file__).parent / "gallery"

ORDER = (
    "one_rack", "two_racks", "every_level", "as_batch_grows", "training_roofline", "where_time_goes", "token_phases", "by_bound", "training_phases",
    "load", "power_cap", "memory", "training_memory", "frontier", "time_against_memory", "pipeline", "zero_bubble", "scaling", "tornado",
    "collective", "simulated", "predicted_measured", "column", "slide", "run",
)  # fmt: skip
"""Examples as the page shows them."""

HEAD = """# Gallery

Every picture is drawn by the script shown with it. [Figures](../how-to/figures.md) has the kinds, styles and widths, and how
documents take them.

<!-- Written by python docs/gallery.py. -->
"""


def told(name: str) -> tuple[str, str, str]:
    """Return the title, the words and the code of an example."""
    text = (HERE / f"{name}.py").read_text(encoding="utf-8")
    title, words, code = re.match(r'"""(.*?)\.\n\n(.*?)\n"""\n\n(.*)', text, flags=re.DOTALL).groups()
    return title, words, code


def anchor(title: str) -> str:
    """Return the anchor of a heading, as Markdown makes it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def alt(name: str) -> str:
    """Return the text that tells a picture: the description inside its SVG."""
    root = ET.parse(HERE / f"{name}.svg").getroot()  # noqa: S314
    return "".join(next(node for node in root if node.tag.endswith("}desc")).itertext())


def page() -> str:
    """Return the page: thumbnails, then every example with its picture and its code."""
    cells = [f"[![{told(name)[0]}]({name}.svg)](#{anchor(told(name)[0])})<br>{told(name)[0]}" for name in ORDER]
    parts = [HEAD, '<div class="thumbnails">', "", *(f"- {cell}" for cell in cells), "", "</div>", ""]
    for name in ORDER:
        title, words, code = told(name)
        parts += [f"## {title}", "", words, "", f"![{alt(name)}]({name}.svg)", "", f"```python\n{code}```", ""]
    return "\n".join(parts)


def draw(name: str) -> None:
    """Run one example beside its picture."""
    here = Path.cwd()
    os.chdir(HERE)
    try:
        runpy.run_path(f"{name}.py")
    finally:
        os.chdir(here)


def main() -> None:
    """Draw all pictures, or those named, and write the page."""
    for name in sys.argv[1:] or ORDER:
        draw(name)
    (HERE / "index.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
