"""``roofline validate``: predictions against measured runs."""

from __future__ import annotations

from typing import Annotated, Any, Final

from attrs import frozen
from cyclopts import Group, Parameter

from roofline import catalog, plots
from roofline.cli import flags
from roofline.cli.console import form_of, say, watched, wrote
from roofline.cli.flags import Json, Level, Predictions, Runs, Scatter
from roofline.cli.options import DEGREES, Degrees, Options
from roofline.validation.validate import SHIPPED, validate

SAID = Group("What a result file of another tool does not state", sort_key=2)


@Parameter(name="*", group=SAID)
@frozen
class RunWords(Options):
    """What was run, where the file of another tool does not state it."""

    model: Annotated[str | None, Parameter(help="Model that was served: llama-3.1-70b.")] = None
    system: Annotated[str | None, Parameter(name=["--system", "-s"], help="Machine that served it: dgx-h100.")] = None
    chips: flags.Chips = None
    dtype: flags.Dtype = None
    kv_dtype: flags.KvDtype = None
    engine: Annotated[str | None, Parameter(help="Engine that served: vllm, sglang, trtllm.")] = None
    input: flags.Input = None
    output: flags.Output = None
    concurrency: flags.Concurrency = None
    draft_tokens: flags.Drafts = None
    accept_length: flags.Accepted = None


_SAID: Final = RunWords()


def validate_(
    runs: Runs = SHIPPED,
    /,
    *,
    level: Level = None,
    said: RunWords = _SAID,
    degrees: Degrees = DEGREES,
    file: Predictions = None,
    plot: Scatter = None,
    json: Json = False,
) -> None:
    """Predict measured runs and report the errors: by quantity and group, and how often the intervals contain the measurement."""
    form = form_of(plot, "--plot")
    catalog.check_places([file, plot])
    words: dict[str, Any] = ({} if level is None else {"level": level}) | said.words() | degrees.words()
    with watched("runs") as progress:
        found = validate(runs, progress=progress, **words)
    say(json, found.to_dict, found.table)
    wrote((file, lambda: found.csv().encode(), ""), (plot, lambda: plots.render(found.figure(), form), ""))
