"""The site: Markdown pages and the reference from the docstrings."""

import tomllib
from importlib.metadata import version as installed
from pathlib import Path
from textwrap import indent

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

project = "roofline"
author = "the roofline authors"
copyright = "2026, the roofline authors"
release = version = installed("roofline")
html_title = f"roofline {release}"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
autosummary_generate = True
templates_path = ["_templates"]
html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_theme_options = {
    "show_prev_next": True,
    "navigation_with_keys": False,
    "navbar_center": [],
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["tables.js", "copy.js", "scroll.js"]
html_sidebars = {"**": ["globaltoc.html"]}
html_show_sourcelink = False
exclude_patterns = ["_build", "jupyter_execute", "**.ipynb_checkpoints"]
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb", ".ipynb": "myst-nb"}
nb_execution_mode = "off"  # what is stored in a notebook is shown; a test runs it again
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_use_ivar = True
nitpicky = True
suppress_warnings = ["ref.python"]  # a name of one answer is also that of another
nitpick_ignore_regex = [
    ("py:class", ".*"),
    ("py:exc", ".*"),
    ("py:mod", r"roofline\.[\w.]+"),
    ("py:(func|data|meth|attr)", r"roofline\.[\w.]+"),  # of modules that have no page of their own
]  # those of numpy, and names of one module in its own signatures
nitpick_ignore = (
    [
        ("py:data", name)
        for name in ("SERVING", "TRAINING", "MOST_EVENTS", "REDUCED", "KINDS", "LENGTHS", "ALGORITHMS", "POOLS")
    ]
    + [("py:func", name) for name in ("queue", "saved", "memory")]
    + [("py:meth", "Answer.best")]
)


def without_gallery(app, docname, source):
    """Leave the gallery out of the table of contents where it has not been made."""
    if docname == "index" and not (Path(app.srcdir) / "gallery").is_dir():
        source[0] = source[0].replace("\ngallery/index\n", "\n")


def with_changes(app, docname, source):
    """Fill the page of changes: fragments that wait for the next release, by kind, then the changelog."""
    if docname != "development/changes":
        return
    top = Path(app.srcdir).parent
    settings = tomllib.loads((top / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["towncrier"]
    parts = [source[0], "## After the last entry"]
    for kind, title in ((each["directory"], each["name"]) for each in settings["type"]):
        found = sorted((top / settings["directory"]).glob(f"*.{kind}.md"))
        parts += [f"### {title}", *(f"- {indent(path.read_text(encoding='utf-8'), '  ').strip()}" for path in found)]
    parts.append((top / "CHANGELOG.md").read_text(encoding="utf-8").removeprefix("# Changelog\n"))
    source[0] = "\n\n".join(parts).replace("](docs/", "](../")


def nearest(app, env, node, contnode):
    """Lead a reference by a private module's name to the one public place where the thing is described."""
    target = node["reftarget"]
    foreign = "." in target and not target.startswith("roofline.")
    if (
        node.get("refdomain") != "py"
        or foreign
        or (node["reftype"] == "class" and target[:1].islower() and "." not in target)
    ):
        return None
    domain, name = env.get_domain("py"), "." + target.rsplit(".", 1)[-1]
    found = [key for key, each in domain.objects.items() if key.endswith(name) and not each.aliased]
    if len(found) != 1:
        return None
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", found[0], node, contnode)


def equation(self, node):
    """Write an equation as MathML, which browsers draw by themselves: the pages need no network."""
    block = node.tagname == "math_block"
    made = convert(node.astext(), display="block" if block else "inline")
    self.body.append(f'<div class="math">{made}</div>' if block else made)
    raise SkipNode


def escaped(*given):
    """Keep the underscore at the end of a type from being read as a reference."""
    lines = given[-1]
    lines[:] = [line.replace("numpy.str_", "numpy.str\\_") for line in lines]


def setup(app):
    app.connect("autodoc-process-docstring", escaped, priority=900)
    app.add_html_math_renderer("mathml", inline_renderers=(equation, None), block_renderers=(equation, None))
    app.connect("source-read", without_gallery)
    app.connect("source-read", with_changes)
    app.connect("missing-reference", nearest)
