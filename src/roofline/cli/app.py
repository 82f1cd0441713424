"""The command line: a thin shell over the public functions, with the same words.

With ``--json`` standard output carries one JSON document and nothing else; prose goes to standard error. Exit status 0:
answered (a configuration that does not fit is an answer, unless ``--require-fit`` asks for status 1); 2: the question was
wrong, with one line that names the argument, its value, the rule and the remedy.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

import cyclopts
from cyclopts import App, Parameter

from roofline.cli.console import Warned, columns, complain
from roofline.cli.examples import EXAMPLES
from roofline.cli.peers import explained, translated
from roofline.core.errors import RooflineError


def _examples(words: str) -> str:
    return "\n".join(["Examples:", *(f"  {line}" for line in EXAMPLES[words])])


app = App(
    name="roofline",
    help="How fast a large language model runs on a machine, why, and how certain that is.",
    version_flags=["--version"],
    help_format="plaintext",
    default_parameter=Parameter(show_default=False),  # the help of a flag says its default
    help_epilogue=_examples("estimate"),
)
searches = App(
    name="search",
    help="Search for the best configurations under limits: of a service, or of a training step.",
    help_format="plaintext",
)


def _add(words: str, run: str) -> None:
    """Add the command of some words; its module is imported when the command is run, or all commands are listed."""
    to, name = (searches, words.removeprefix("search ")) if words.startswith("search ") else (app, words)
    to.command(f"roofline.cli.{run}", name=name, help_epilogue=_examples(words))


def _describe(typed: Sequence[str]) -> None:
    """Import the commands that a list of commands will describe: all, or those of ``search``."""
    named = [word for word in typed[:2] if not word.startswith("-")]
    for to, above in ((app, []), (searches, ["search"])):
        if named == above and typed != ["--version"]:
            for name in to:
                to[name]


app.register_install_completion_command(add_to_startup=False)
_add("list", "list:list_")
_add("show", "show:show")
_add("new", "new:new")
_add("estimate", "estimate:estimate_")
_add("train", "train:train_")
_add("campaign", "campaign:campaign_")
_add("rl", "rl:rl_")
app.command(searches)
_add("search serve", "search:serve")
_add("search train", "search:train")
_add("compare", "compare:compare_")
_add("collective", "collective:collective_")
_add("launch", "launch:launch_")
_add("simulate", "simulate:simulate_")
_add("sweep", "sweep:sweep_")
_add("needed", "needed:needed_")
_add("sensitivity", "sensitivity:sensitivity_")
_add("break-even", "break_even:break_even_")
_add("plot", "plot:plot_")
_add("report", "report:report_")
_add("app", "explorer:app_")
_add("validate", "validate:validate_")
_add("calibrate", "calibrate:calibrate_")
_add("mcp", "mcp:mcp")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; every wrong question ends in one line and status 2.

    Args:
        arguments: the words after ``roofline``; by default those that the process was started with.
    """
    typed = list(sys.argv[1:] if arguments is None else arguments)
    if "COLUMNS" in os.environ:
        os.environ["COLUMNS"] = columns(os.environ["COLUMNS"])
    warned = Warned()
    logging.getLogger("roofline").addHandler(warned)
    try:
        _describe(typed)
        app(translated(typed), exit_on_error=False, print_error=False, result_action="return_value")
    except cyclopts.CycloptsError as error:
        complain(explained(error, app))
    except RooflineError as error:
        complain(str(error))
    except BrokenPipeError:
        _discard()  # the reader has seen enough
    except SystemExit as left:
        if not isinstance(left.__context__, BrokenPipeError):  # as Rich, which prints help, leaves in that case
            raise
    except OSError as error:
        _discard()
        complain(f"output: cannot be written: {error.strerror or error}; check the disk and the destination")
    except MemoryError:
        complain("memory: there is not enough of it for this question; ask for fewer points at once")
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    finally:
        logging.getLogger("roofline").removeHandler(warned)


def _discard() -> None:
    """Drop what standard output still holds: it cannot be written when the program ends either."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
