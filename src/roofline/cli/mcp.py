"""``roofline mcp``: the questions of this library as tools of the Model Context Protocol (https://modelcontextprotocol.io).

Each tool takes the words of its command and returns the fields of ``--json``. The server speaks over standard input and output and
opens no port; it needs the extra ``mcp`` (the official SDK).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from cyclopts import Parameter

from roofline.core.errors import QuestionError, RooflineError
from roofline.core.fields import without_none
from roofline.planner import estimate as estimates
from roofline.planner.search import search as searched
from roofline.planner.simulate import simulate as simulated
from roofline.planner.train import train as trained
from roofline.reports.describe import describe
from roofline.reports.launch import launch as launched
from roofline.reports.listing import listing
from roofline.studies.compare import compare as compared

if TYPE_CHECKING:
    from mcp.server import MCPServer

Fields = dict[str, Any]

INSTRUCTIONS: Final = (
    "Predicts how fast a large language model serves and trains on a machine, why, and how certain that is. Models and systems are names "
    "(see list) or paths of a config.json or a TOML file. Times are seconds, rates per second; interval holds 80 % of measurements. "
    "concurrency counts requests in the whole deployment."
)
_FRONTIER: Final = 20
"""Configurations of a search's frontier that are returned."""


def list_of(kind: Literal["systems", "chips", "models", "engines", "frameworks"]) -> Fields:
    """List what the library knows: systems, chips, models, serving engines or training frameworks."""
    return {kind: [dict(row) for row in listing(kind)]}


def show(name: str, kind: Literal["system", "chip", "model"] | None = None) -> Fields:
    """Show a system, a chip or a model: every number with its source."""
    return dict(describe(name, kind).to_dict())


def estimate(
    model: str, system: str, *, chips: int | None = None, input: float = 4096, output: float = 1024, concurrency: float | None = None,
    rate: float | None = None, tp: int | None = None, pp: int | None = None, dp: int | None = None, ep: int | None = None,
    dtype: str | None = None, kv_dtype: str | None = None, engine: str | None = None, draft_tokens: int | None = None,
) -> Fields:  # fmt: skip
    """Estimate a service: tokens/s, time to first token, time per output token, memory, what bounds it, energy and cost, with intervals."""
    words: Any = without_none(
        chips=chips, tp=tp, pp=pp, dp=dp, ep=ep, dtype=dtype, kv_dtype=kv_dtype, engine=engine, concurrency=concurrency, rate=rate,
        draft_tokens=draft_tokens,
    )  # fmt: skip
    return dict(estimates.estimate(model, system, input=input, output=output, **words).to_dict())


def compare(
    systems: list[str], model: str | None = None, *, tpot: str | None = None, input: float = 4096, output: float = 1024, chips: int | None = None,
    dtype: str | None = None,
) -> Fields:  # fmt: skip
    """Compare systems: FLOP/s, memory, bandwidth, power and their ratios; with a model, the best service of each within a limit on TPOT."""
    words: Any = without_none(chips=chips, dtype=dtype)
    if model is not None:
        words |= {"model": model, "input": input, "output": output} | ({} if tpot is None else {"tpot": [tpot]})
    return dict(compared(*systems, **words).to_dict())


def search(
    model: str, system: str, *, chips: int | None = None, ttft: str | None = None, tpot: str | None = None, input: float = 4096, output: float = 1024,
    dtype: str | None = None, engine: str | None = None,
) -> Fields:  # fmt: skip
    """Search for the best configuration of a service under limits such as ttft="2s", tpot="50ms": the best one and the frontier."""
    words: Any = without_none(chips=chips, ttft=ttft, tpot=tpot, dtype=dtype, engine=engine)
    found = dict(searched(model, system, input=input, output=output, **words).to_dict())
    return {name: value[:_FRONTIER] if isinstance(value, list) else value for name, value in found.items()}


def train(
    model: str, system: str, global_batch: int, *, chips: int | None = None, seq_len: int = 4096, tp: int | None = None, pp: int | None = None,
    ep: int | None = None, cp: int | None = None, dtype: str | None = None, recompute: str | None = None, sharding: str | None = None,
) -> Fields:  # fmt: skip
    """Estimate a training step: time, tokens/s, utilisation, bubble, exposed communication, memory, with an interval."""
    words: Any = without_none(
        chips=chips, tp=tp, pp=pp, ep=ep, cp=cp, dtype=dtype, recompute=recompute, sharding=sharding
    )
    return dict(trained(model, system, global_batch=global_batch, seq_len=seq_len, **words).to_dict())


def simulate(
    model: str, system: str, *, rate: float | None = None, concurrency: int | None = None, requests: int = 500, input: float = 4096,
    output: float = 1024, chips: int | None = None, tp: int | None = None, ttft: str | None = None, tpot: str | None = None,
    dtype: str | None = None, engine: str | None = None,
) -> Fields:  # fmt: skip
    """Simulate requests that arrive at random (rate) or are always in flight (concurrency): percentiles of TTFT, TPOT, ITL and E2E, goodput."""
    words: Any = without_none(
        rate=rate, concurrency=concurrency, chips=chips, tp=tp, ttft=ttft, tpot=tpot, dtype=dtype, engine=engine
    )
    return dict(simulated(model, system, requests=requests, input=input, output=output, **words).to_dict())


def launch(
    model: str, system: str, *, tool: str = "", checkpoint: str = "", concurrency: float = 64, input: float = 4096, output: float = 1024,
    chips: int | None = None, tp: int | None = None, pp: int | None = None, dp: int | None = None, ep: int | None = None,
    dtype: str | None = None, engine: str | None = None,
) -> Fields:  # fmt: skip
    """Write the command that starts an estimated service with vllm, vllm-ascend, sglang, trtllm or mindie."""
    words: Any = without_none(chips=chips, tp=tp, pp=pp, dp=dp, ep=ep, dtype=dtype, engine=engine)
    est = estimates.estimate(model, system, input=input, output=output, concurrency=concurrency, **words)
    return dict(launched(est, tool, model=checkpoint).to_dict())


TOOLS: Final[Mapping[str, Callable[..., Fields]]] = {
    "list": list_of, "show": show, "estimate": estimate, "compare": compare, "search": search, "train": train, "simulate": simulate,
    "launch": launch,
}  # fmt: skip
"""Tools by name; their docstrings and signatures are what a client sees."""


def server() -> MCPServer:
    """Return a server with all tools.

    Raises:
        QuestionError: the SDK is not installed.
    """
    try:
        from mcp.server import MCPServer  # noqa: PLC0415
        from mcp.server.mcpserver.exceptions import ToolError  # noqa: PLC0415
    except ImportError:
        raise QuestionError(
            "mcp: the SDK of the Model Context Protocol is missing; install it with: pip install 'roofline[mcp]'"
        ) from None
    out = MCPServer("roofline", instructions=INSTRUCTIONS)

    def refusing(run: Callable[..., Fields]) -> Callable[..., Fields]:
        @functools.wraps(run)
        def answered(*args: Any, **words: Any) -> Fields:
            try:
                return run(*args, **words)
            except RooflineError as error:
                raise ToolError(str(error)) from None

        return answered

    for name, run in TOOLS.items():
        out.tool(name=name, description=run.__doc__)(refusing(run))
    return out


def mcp(*, transport: Annotated[Literal["stdio"], Parameter(help="How clients speak to it: stdio.")] = "stdio") -> None:
    """Serve list, show, estimate, compare, search, train, simulate and launch as tools of the Model Context Protocol."""
    server().run(transport)
