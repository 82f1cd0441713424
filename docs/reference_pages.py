"""Write the reference pages that come from the code: ``python docs/reference_pages.py``. The same code gives the same bytes.

``reference/cli.md`` is made of the commands, ``reference/model-library.md`` of the models that come with the library.
"""

from __future__ import annotations

import re
from pathlib import Path

import roofline as rl
from roofline.cli.app import app, searches
from roofline.cli.examples import EXAMPLES

HERE = Path(__file__).parent / "reference"


def commands() -> str:
    """Return the page of the command line: every command, its flags and examples."""
    for listed in (app, searches):
        for name in listed:
            listed[name]  # imports the command
    made = app.generate_docs(output_format="markdown", recursive=True)
    made = made[
        made.index("## `--install-completion`")
        if "## `--install-completion`" in made
        else made.index("## roofline --install-completion") :
    ]
    # Words in capitals and flags stand as code; headings are the commands.
    made = re.sub(r"\n{3,}", "\n\n", made.replace("<", "&lt;"))
    made = re.sub(r"^#{3,} (roofline .*)$", r"## \1", made, flags=re.MULTILINE)
    first, *parts = re.split(r"^(?=## roofline )", made, flags=re.MULTILINE)
    made = first + "".join(map(with_examples, parts))
    head = (
        "# Command line\n\n<!-- Written by python docs/reference_pages.py. -->\n\n"
        "Every command with its flags. Numbers take units (`50ms`, `2.95USD/h`, `1.2kW`). `--json` writes one document to standard output, prose goes to standard error. "
        "Exit status 0: answered, 1: it does not fit and `--require-fit` was given, 2: the question was wrong. Names of other tools (`--isl`, `--tp-size`, `--gpus`) are accepted.\n\n"
    )
    return head + made.rstrip() + "\n"


def with_examples(part: str) -> str:
    """Return the section of a command with its examples."""
    name = re.match(r"## roofline (.*)", part)[1]
    if name not in EXAMPLES:
        return part
    listed = "\n".join(EXAMPLES[name])
    return f"{part.rstrip()}\n\n**Examples**:\n\n```sh\n{listed}\n```\n\n"


def attention(model: rl.Model) -> str:
    """Return the kinds of attention of a model's layers, each once."""
    called = {
        "Gqa": "multi-head or grouped-query",
        "Mla": "latent (MLA)",
        "Compressed": "compressed",
        "Linear": "linear",
        "Mamba": "Mamba",
        "Absent": "none",
    }
    kinds = dict.fromkeys(
        called.get(type(each.attention).__name__, type(each.attention).__name__) for each in model.layers
    )
    return ", ".join(kinds)


def experts(model: rl.Model) -> str:
    """Return how many routed experts a layer has, and how many a token goes to."""
    found = [each.ffn for each in model.layers if isinstance(each.ffn, rl.Moe)]
    return "" if not found else f"{found[0].experts:g}, top {found[0].top_k:g}"


def models() -> str:
    """Return the page of the models that come with the library."""
    rows = []
    for name in rl.names("model"):
        model = rl.model(name)
        fields = rl.describe(model).fields
        total, active = fields.get("parameters_total"), fields.get("parameters_active")
        rows.append([
            f"`{name}`", model.family, "" if total is None else f"{total / 1e9:,.1f}", "" if active is None else f"{active / 1e9:,.1f}",
            f"{sum(float(each.count) for each in model.layers):g}", attention(model), experts(model), model.dtype,
            "" if not model.max_context else f"{float(model.max_context):,.0f}",
        ])  # fmt: skip
    head = ["model", "family", "parameters, G", "active, G", "layers", "attention", "experts", "weights", "context"]
    rule = ["---", "---", "--:", "--:", "--:", "---", "---", "---", "--:"]
    table = "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))
    return (
        f"# Model library: Llama, Qwen, DeepSeek, GPT, Mistral, Gemma and others\n\n<!-- Written by python docs/reference_pages.py. -->\n\n{len(rows)} models come with the library; `roofline show NAME` says more of each, with its source. Any other is a "
        "[config.json away](models.md). The box above the table filters it, the head of a column sorts.\n\n"
        + table
        + "\n"
    )


def main() -> None:
    """Write the pages."""
    (HERE / "cli.md").write_text(commands(), encoding="utf-8")
    (HERE / "model-library.md").write_text(models(), encoding="utf-8")


if __name__ == "__main__":
    main()
