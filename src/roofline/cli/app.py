"""The command line: a thin shell over the public functions, with the same words.

With ``--json`` standard output carries one JSON document and nothing else; prose goes to standard error. Exit status 0:
answered (a configuration that does not fit is an answer, unless ``--require-fit`` asks for status 1); 2: the question was
wrong, with one line that names the argument, its value, the rule and the remedy.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

import cyclopts
from cyclopts import App, Parameter

from roofline.cli import (
    break_even,
    calibrate,
    campaign,
    collective,
    compare,
    estimate,
    needed,
    plot,
    report,
    search,
    sensitivity,
    show,
    simulate,
    sweep,
    train,
    validate,
)
from roofline.cli import list as list_
from roofline.cli.console import NARROWEST, Warned, complain
from roofline.cli.peers import explained, translated
from roofline.core.errors import RooflineError


def _examples(lines: Sequence[str]) -> str:
    return "\n".join(["Examples:", *(f"  {line}" for line in lines)])


app = App(
    name="roofline",
    help="How fast a large language model runs on a machine, why, and how certain that is.",
    version_flags=["--version"],
    help_format="plaintext",
    default_parameter=Parameter(show_default=False),  # the help of a flag says its default
    help_epilogue=_examples(estimate.EXAMPLES),
)
searches = App(
    name="search",
    help="Search for the best configurations under limits: of a service, or of a training step.",
    help_format="plaintext",
)


def _add(to: App, run: Callable[..., None], name: str, examples: Sequence[str]) -> None:
    to.command(run, name=name, help_epilogue=_examples(examples))


app.register_install_completion_command(add_to_startup=False)
_add(app, list_.list_, "list", list_.EXAMPLES)
_add(app, show.show, "show", show.EXAMPLES)
_add(app, estimate.estimate_, "estimate", estimate.EXAMPLES)
_add(app, train.train_, "train", train.EXAMPLES)
_add(app, campaign.campaign_, "campaign", campaign.EXAMPLES)
app.command(searches)
_add(searches, search.serve, "serve", search.SERVE)
_add(searches, search.train, "train", search.TRAIN)
_add(app, compare.compare_, "compare", compare.EXAMPLES)
_add(app, collective.collective_, "collective", collective.EXAMPLES)
_add(app, simulate.simulate_, "simulate", simulate.EXAMPLES)
_add(app, sweep.sweep_, "sweep", sweep.EXAMPLES)
_add(app, needed.needed_, "needed", needed.EXAMPLES)
_add(app, sensitivity.sensitivity_, "sensitivity", sensitivity.EXAMPLES)
_add(app, break_even.break_even_, "break-even", break_even.EXAMPLES)
_add(app, plot.plot_, "plot", plot.EXAMPLES)
_add(app, report.report_, "report", report.EXAMPLES)
_add(app, validate.validate_, "validate", validate.EXAMPLES)
_add(app, calibrate.calibrate_, "calibrate", calibrate.EXAMPLES)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; every wrong question ends in one line and status 2.

    Args:
        arguments: the words after ``roofline``; by default those that the process was started with.
    """
    typed = list(sys.argv[1:] if arguments is None else arguments)
    if not os.environ.get("COLUMNS", "80").isdecimal() or int(os.environ.get("COLUMNS", "80")) < NARROWEST:
        os.environ["COLUMNS"] = str(NARROWEST)  # help in no columns would have no end
    warned = Warned()
    logging.getLogger("roofline").addHandler(warned)
    try:
        app(translated(typed), exit_on_error=False, print_error=False, result_action="return_value")
    except cyclopts.CycloptsError as error:
        complain(explained(error, app))
    except RooflineError as error:
        complain(str(error))
    except BrokenPipeError:
        _discard()  # the reader has seen enough
    except OSError as error:
        _discard()
        complain(f"output: cannot be written: {error.strerror or error}; check the disk and the place it goes to")
    except MemoryError:
        complain("memory: there is not enough of it for this question; ask fewer points at once")
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    finally:
        logging.getLogger("roofline").removeHandler(warned)


def _discard() -> None:
    """Drop what standard output still holds: it cannot be written when the program ends either."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
