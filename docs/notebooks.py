"""Run the notebooks of the documents and store what they say: ``python docs/notebooks.py``. The same numbers give the same bytes."""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent / "tutorials"


def executed(path: Path) -> nbformat.NotebookNode:
    """Return a notebook after all of its cells ran, in a kernel of its own."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(HERE)}}).execute()
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata.pop("execution", None)
    notebook.metadata.pop("language_info", None)
    return notebook


def said(notebook: nbformat.NotebookNode) -> list[str]:
    """Return what the cells of a notebook print, and that they draw.

    Jupyter cuts what a cell prints into one output or several as it happens to arrive: neighbours are joined.
    """
    found: list[str] = []
    for cell in notebook.cells:
        before = None
        for each in cell.get("outputs", []):
            text = "picture" if "image/svg+xml" in each.get("data", {}) else "".join(each.get("text", "?"))
            stream = each.get("name") if each.get("output_type") == "stream" else None
            if stream is not None and stream == before:
                found[-1] += text
            else:
                found.append(text)
            before = stream
    return found


def main() -> None:
    for name in sys.argv[1:] or sorted(path.name for path in HERE.glob("*.ipynb")):
        nbformat.write(executed(HERE / name), HERE / name)


if __name__ == "__main__":
    main()
