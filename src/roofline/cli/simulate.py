"""``roofline simulate``: a trace of requests through a service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypedDict

from attrs import frozen
from cyclopts import Group, Parameter

from roofline import catalog
from roofline.cli.console import drawn, exported, form_of, json_name, say, watched, wrote
from roofline.cli.drafts import drafted
from roofline.cli.flags import (
    LIMIT,
    Accepted,
    Chunk,
    Disaggregated,
    DraftModel,
    Drafts,
    FileForm,
    Grid,
    Imbalance,
    Json,
    ModelName,
    RequireFit,
    System,
    output_file,
)
from roofline.cli.numbers import to_quantity, to_real, to_whole
from roofline.cli.options import DEGREES, MACHINE, POOL, SOFTWARE, Degrees, Machine, Options, Pool, Software
from roofline.core.errors import QuestionError, fault
from roofline.core.fields import without_none
from roofline.core.quantities import quantity
from roofline.core.units import SECOND
from roofline.inference.autoscaling import Autoscale
from roofline.inference.traces import Trace
from roofline.planner.simulate import simulate
from roofline.planner.words import rest
from roofline.reports import carbon

TRAFFIC = Group("Traffic", sort_key=3)
SCALING = Group("Autoscaling", sort_key=5)
SCHEDULER = Group("Scheduler (what is left out is the engine's default)", sort_key=6)

TraceFile = Annotated[
    Path | None,
    Parameter(
        group=TRAFFIC,
        help="Requests, one a line: CSV or JSONL (arrival_s, input_len, output_len), Mooncake, Azure, BurstGPT, vLLM bench "
        "or AIPerf. Left out, requests are drawn: --input, --output, --rate or --concurrency.",
    ),
]
Requests = Annotated[
    int | None,
    Parameter(
        converter=to_whole,
        group=TRAFFIC,
        help="Requests of the trace from its beginning, or that are drawn: 1000 (default: all; 10,000 drawn ones).",
    ),
]
TrafficRate = Annotated[
    float | None,
    Parameter(
        converter=to_real, group=TRAFFIC, help="Requests per second, to which the times of the trace are scaled: 2.5."
    ),
]
InFlight = Annotated[
    int | None,
    Parameter(
        converter=to_whole,
        group=TRAFFIC,
        help="Requests always in flight, whatever the times of the trace: 64 (default where nothing is given).",
    ),
]
In = Annotated[
    float | None,
    Parameter(
        converter=to_real,
        name=["--input", "--isl"],
        group=TRAFFIC,
        help="Mean prompt tokens of drawn requests, where no trace is given: 4096 (default).",
    ),
]
Out = Annotated[
    float | None,
    Parameter(
        converter=to_real,
        name=["--output", "--osl"],
        group=TRAFFIC,
        help="Mean output tokens of drawn requests: 1024 (default).",
    ),
]
Spread = Annotated[
    Literal["fixed", "lognormal", "uniform", "exponential"] | None,
    Parameter(
        group=TRAFFIC,
        help="Distribution of the lengths of drawn requests: fixed (default: lognormal, or fixed where --variation is 0).",
    ),
]
Varied = Annotated[
    float | None,
    Parameter(
        converter=to_real,
        group=TRAFFIC,
        help="Standard deviation of those lengths over their mean: 0.5 (default: 0.2, as in roofline estimate).",
    ),
]
Prefix = Annotated[
    float | None,
    Parameter(
        converter=to_real,
        group=TRAFFIC,
        help="Prompt tokens that all drawn requests begin with, such as a system prompt: 1000 (default: 0).",
    ),
]
PerSlot = Annotated[
    float | None,
    Parameter(
        converter=to_real, group=TRAFFIC, help="Drawn requests over --concurrency, as in a benchmark: 5 (default: 10)."
    ),
]
Bursts = Annotated[
    float | None,
    Parameter(
        converter=to_real,
        group=TRAFFIC,
        help="Shape of the gaps between drawn requests, less than 1 for bursts: 0.25 (default: 1, at random).",
    ),
]
Swing = Annotated[
    float | None,
    Parameter(
        converter=to_real,
        group=TRAFFIC,
        help="The --rate of drawn requests swings by this part of its mean over a day; 24 hours are simulated: 0.6 (default: steady).",
    ),
]
Seed = Annotated[
    int | None,
    Parameter(converter=to_whole, group=TRAFFIC, help="Of the random numbers of drawn requests: 1 (default: 0)."),
]
HashBlock = Annotated[
    int | None,
    Parameter(
        converter=to_whole, group=TRAFFIC, help="Tokens of a block that a hash id of the trace names: 512 (default)."
    ),
]
TtftLimit = Annotated[
    str | None,
    Parameter(
        name="--ttft",
        group=LIMIT,
        converter=to_quantity,
        help="Limit on the time to first token of a good request: 2s; at a percentile of all: p99<2s (quote it).",
    ),
]
TpotLimit = Annotated[
    str | None,
    Parameter(
        name="--tpot",
        group=LIMIT,
        converter=to_quantity,
        help="Limit on the time per output token of a good request: 50ms; at a percentile of all: p90<50ms (quote it).",
    ),
]
FewestChips = Annotated[
    bool,
    Parameter(
        negative="",
        group=LIMIT,
        help="Find the fewest chips that serve all requests, do not saturate, and meet the limits of --ttft and --tpot.",
    ),
]
Scaled = Annotated[
    str | None,
    Parameter(
        name="--autoscale",
        group=SCALING,
        help="Autoscale between LEAST:MOST replicas: 1:8. Reports chip-hours, and those of the smallest fixed fleet that meets the limits.",
    ),
]
ScaleMetric = Annotated[
    Literal["in_flight", "waiting", "cache"] | None,
    Parameter(
        group=SCALING,
        help="Load that replicas follow: requests in flight (default), requests that wait, or the share of the KV cache that is used: cache.",
    ),
]
ScaleTarget = Annotated[
    float | None,
    Parameter(
        converter=to_real,
        group=SCALING,
        help="Target load of a replica: 32 (default: requests in flight at 70 % of the rate up to which the limits hold in closed form).",
    ),
]
ScaleStart = Annotated[
    str | None,
    Parameter(
        converter=to_quantity,
        group=SCALING,
        help="Time from the decision to a replica that serves: 90s (default: 60 s, and the weights of a chip at 1 GB/s).",
    ),
]
ScalePeriod = Annotated[
    str | None, Parameter(converter=to_quantity, group=SCALING, help="Time between two decisions: 15s (default).")
]
ScaleCalm = Annotated[
    str | None,
    Parameter(
        converter=to_quantity,
        group=SCALING,
        help="Replicas are stopped only when no more were needed for this time: 5min (default).",
    ),
]
RouterName = Annotated[
    Literal["round_robin", "least_loaded", "prefix"] | None,
    Parameter(group=SCHEDULER, help="How requests are assigned to replicas: least_loaded (default: round_robin)."),
]
OrderName = Annotated[
    Literal["fcfs", "priority"] | None,
    Parameter(group=SCHEDULER, help="Which request goes first: priority (default: fcfs, the first to come)."),
]
Seats = Annotated[
    int | None,
    Parameter(converter=to_whole, group=SCHEDULER, help="Sequences that an attention rank runs at once at most: 256."),
]
Block = Annotated[
    int | None, Parameter(converter=to_whole, group=SCHEDULER, help="Tokens of a block of the KV cache: 16.")
]
Reserve = Annotated[
    float | None,
    Parameter(
        converter=to_real,
        group=SCHEDULER,
        help="Part of the output of a request for which KV cache must be free when it is admitted: 0.5.",
    ),
]
MixedSteps = Annotated[
    bool | None,
    Parameter(negative="--no-mixed", group=SCHEDULER, help="Chunked prefill in the decode steps of other requests."),
]
PrefixCache = Annotated[
    bool | None,
    Parameter(
        negative="--no-prefix-cache", group=SCHEDULER, help="Prefix caching: equal blocks of prompts are stored once."
    ),
]
HostWrite = Annotated[
    Literal["through", "evicted"] | None,
    Parameter(
        group=SCHEDULER, help="When blocks come to host memory: as they fill, or when they are evicted: evicted."
    ),
]
HostLoad = Annotated[
    Literal["ahead", "layers", "step"] | None,
    Parameter(
        group=SCHEDULER,
        help="How blocks come back from host memory: the request waits, layer by layer behind the prefill, or the step waits: layers.",
    ),
]
HostMemory = Annotated[
    str | None,
    Parameter(
        group=SCHEDULER,
        help="Host memory per chip that caches prefixes: 100GB, 2x (of the chip's own cache), or auto (80 % of what the hosts have). Default: none.",
    ),
]
HostLink = Annotated[
    str | None,
    Parameter(
        converter=to_quantity,
        group=SCHEDULER,
        help="Bandwidth of a chip's link to its host, one way: 64GB/s (default: the system's).",
    ),
]
Picture = Annotated[
    Path | None,
    output_file(
        "Write a picture (FILE.svg, .pdf, .png), every request (.csv), or a Perfetto trace (.json, unless --format says otherwise): run.svg."
    ),
]


@Parameter(name="*")
@frozen
class Traffic(Options):
    """The requests: those of a file, or drawn ones."""

    trace: TraceFile = None
    requests: Requests = None
    rate: TrafficRate = None
    concurrency: InFlight = None
    input: In = None
    output: Out = None
    cached: Prefix = None
    lengths: Spread = None
    variation: Varied = None
    requests_per_slot: PerSlot = None
    burstiness: Bursts = None
    swing: Swing = None
    seed: Seed = None
    hash_block: HashBlock = None

    def words(self) -> dict[str, Any]:
        """Return the load, and how requests are drawn where no trace is given."""
        return rest(Options.words(self), TraceFlags)

    def read(self) -> Trace | None:
        """Return the trace of the file; None where requests are to be drawn."""
        if self.trace is None:
            if self.hash_block is not None:
                raise QuestionError(fault("--hash-block", self.hash_block, "is of a trace", "give --trace too"))
            return None
        return Trace.read(self.trace, **without_none(hash_block=self.hash_block))


@Parameter(name="*")
@frozen
class GoodRequest(Options):
    """Limits on the times of a good request."""

    ttft: TtftLimit = None
    tpot: TpotLimit = None


@Parameter(name="*")
@frozen
class Scaling(Options):
    """How replicas follow the load."""

    autoscale: Scaled = None
    scale_metric: ScaleMetric = None
    scale_target: ScaleTarget = None
    scale_start: ScaleStart = None
    scale_period: ScalePeriod = None
    scale_calm: ScaleCalm = None

    def words(self) -> dict[str, Any]:
        """Return the rule that was given.

        Raises:
            QuestionError: a word of a rule without one.
        """
        own = {name.removeprefix("scale_"): value for name, value in Options.words(self).items() if name != "autoscale"}
        if self.autoscale is None:
            for name, value in own.items():
                raise QuestionError(fault(f"--scale-{name}", value, "is of autoscaling", "give --autoscale LEAST:MOST"))
            return {}
        times = {name: float(quantity(name, own[name], SECOND)) for name in ("start", "period", "calm") if name in own}
        return {"autoscale": Autoscale.of(self.autoscale, **own | times)}


@Parameter(name="*")
@frozen
class Scheduler(Options):
    """How an engine schedules requests."""

    router: RouterName = None
    order: OrderName = None
    max_num_seqs: Seats = None
    block_size: Block = None
    reserve: Reserve = None
    mixed: MixedSteps = None
    prefix_cache: PrefixCache = None
    host_cache: HostMemory = None
    host_bandwidth: HostLink = None
    host_write: HostWrite = None
    host_load: HostLoad = None


@Parameter(name="*")
@frozen
class Sampling(Options):
    """What a step of the engine does with each sequence."""

    draft_tokens: Drafts = None
    accept_length: Accepted = None
    chunk: Chunk = None
    imbalance: Imbalance = None


class TraceFlags(TypedDict, total=False):
    """Of the file of a trace."""

    trace: Path
    hash_block: int


_TRAFFIC: Final = Traffic()
_GOOD: Final = GoodRequest()
_SCHEDULER: Final = Scheduler()
_SAMPLING: Final = Sampling()
_SCALING: Final = Scaling()


def simulate_(
    model: ModelName,
    *,
    system: System,
    traffic: Traffic = _TRAFFIC,
    good: GoodRequest = _GOOD,
    machine: Machine = MACHINE,
    software: Software = SOFTWARE,
    degrees: Degrees = DEGREES,
    sampling: Sampling = _SAMPLING,
    scheduler: Scheduler = _SCHEDULER,
    pool: Pool = POOL,
    scaling: Scaling = _SCALING,
    draft_model: DraftModel = None,
    fewest_chips: FewestChips = False,
    disaggregated: Disaggregated = False,
    grid: Grid = None,
    file: Picture = None,
    format: FileForm = None,
    require_fit: RequireFit = False,
    json: Json = False,
) -> None:
    """Simulate a trace of requests through a service: TTFT, TPOT, ITL and E2E at percentiles, goodput, queue and cache over time."""
    form = form_of(file, also=("csv", "json"))
    if format is not None:
        json_name(file, format)
    catalog.check_places([file])
    carbon.refused(grid)
    asked, words = traffic.read(), dict[str, Any]()
    for group in (machine, software, degrees, sampling, scheduler, pool, good, traffic, scaling):
        words |= group.words()
    target = drafted(model, draft_model, words)
    with watched("requests") as progress:
        found = simulate(
            target, system, asked, fewest_chips=fewest_chips, disaggregated=disaggregated, progress=progress, **words
        )
    say(json, lambda: carbon.added(found.to_dict(), found, grid), lambda: carbon.below(found.table(), found, grid))
    data = {
        "csv": lambda: found.csv().encode(),
        "json": lambda: exported(found, format) if format else found.perfetto().encode(),
    }
    wrote((file if found.completed else None, data.get(form, lambda: drawn(found.plot(), form)), ""))
    if require_fit and not found.meets:
        raise SystemExit(1)
