from roofline import catalog as catalog
from roofline import plots as plots
from roofline.calibration.calibrate import Calibrated as Calibrated
from roofline.calibration.calibrate import calibrate as calibrate
from roofline.catalog import chip as chip
from roofline.catalog import framework as framework
from roofline.catalog import model as model
from roofline.catalog import names as names
from roofline.catalog import profile as profile
from roofline.catalog import system as system
from roofline.core.errors import DescriptorError as DescriptorError
from roofline.core.errors import QuestionError as QuestionError
from roofline.core.errors import RooflineError as RooflineError
from roofline.core.errors import UnitError as UnitError
from roofline.core.errors import UnknownNameError as UnknownNameError
from roofline.core.frames import Frame as Frame
from roofline.core.provenance import Fact as Fact
from roofline.core.provenance import Source as Source
from roofline.hardware.constants import IDEAL as IDEAL
from roofline.hardware.constants import Calibration as Calibration
from roofline.hardware.constants import Kernel as Kernel
from roofline.hardware.constants import Link as Link
from roofline.hardware.frameworks import Framework as Framework
from roofline.hardware.hardware import Chip as Chip
from roofline.hardware.hardware import Host as Host
from roofline.hardware.hardware import Memory as Memory
from roofline.hardware.hardware import System as System
from roofline.hardware.hardware import Tier as Tier
from roofline.inference.autoscaling import Autoscale as Autoscale
from roofline.inference.traces import Lengths as Lengths
from roofline.inference.traces import Trace as Trace
from roofline.models.architecture import Absent as Absent
from roofline.models.architecture import Compressed as Compressed
from roofline.models.architecture import Dense as Dense
from roofline.models.architecture import Formats as Formats
from roofline.models.architecture import Gqa as Gqa
from roofline.models.architecture import Hyper as Hyper
from roofline.models.architecture import Indexer as Indexer
from roofline.models.architecture import Layers as Layers
from roofline.models.architecture import Linear as Linear
from roofline.models.architecture import Mamba as Mamba
from roofline.models.architecture import Mla as Mla
from roofline.models.architecture import Model as Model
from roofline.models.architecture import Moe as Moe
from roofline.models.architecture import PerLayer as PerLayer
from roofline.operators.feasibility import Rule as Rule
from roofline.operators.memory import Footprint as Footprint
from roofline.operators.operations import Message as Message
from roofline.operators.operations import Op as Op
from roofline.physics.spans import Span as Span
from roofline.planner.campaign import campaign as campaign
from roofline.planner.collective import Collective as Collective
from roofline.planner.collective import collective as collective
from roofline.planner.estimate import estimate as estimate
from roofline.planner.offload import Offload as Offload
from roofline.planner.offload import offload as offload
from roofline.planner.plans import Rejection as Rejection
from roofline.planner.pool_search import Splits as Splits
from roofline.planner.pools import pools as pools
from roofline.planner.post_training import post_train as post_train
from roofline.planner.search import search as search
from roofline.planner.search import search_training as search_training
from roofline.planner.service_search import Search as Search
from roofline.planner.simulate import simulate as simulate
from roofline.planner.train import train as train
from roofline.planner.training_search import TrainingSearch as TrainingSearch
from roofline.plots.measured import Measured as Measured
from roofline.plots.measured import roofline as roofline
from roofline.reports.describe import Description as Description
from roofline.reports.describe import describe as describe
from roofline.reports.launch import launch as launch
from roofline.reports.launch.flags import Launch as Launch
from roofline.reports.listing import listing as listing
from roofline.reports.report import Report as Report
from roofline.reports.report import report as report
from roofline.results.campaign import Campaign as Campaign
from roofline.results.estimate import Estimate as Estimate
from roofline.results.pools import Pools as Pools
from roofline.results.post_training import PostTraining as PostTraining
from roofline.results.simulation import Simulation as Simulation
from roofline.results.training import Training as Training
from roofline.studies.compare import Comparison as Comparison
from roofline.studies.compare import compare as compare
from roofline.studies.largest import largest as largest
from roofline.studies.needed import Needed as Needed
from roofline.studies.needed import needed as needed
from roofline.studies.odds import BreakEven as BreakEven
from roofline.studies.odds import break_even as break_even
from roofline.studies.odds import probability as probability
from roofline.studies.scaling import Scaling as Scaling
from roofline.studies.scaling import scaling as scaling
from roofline.studies.sweep import sweep as sweep
from roofline.studies.sweep_result import Sweep as Sweep
from roofline.validation.runs import ServingRun as ServingRun
from roofline.validation.runs import TrainingRun as TrainingRun
from roofline.validation.scoring import Prediction as Prediction
from roofline.validation.scoring import Score as Score
from roofline.validation.validate import Validation as Validation
from roofline.validation.validate import validate as validate
from roofline.workload.layout import Layout as Layout
from roofline.workload.questions import Decode as Decode
from roofline.workload.questions import Prefill as Prefill
from roofline.workload.questions import Serve as Serve
from roofline.workload.questions import TrainStep as TrainStep

__version__: str
__all__ = [
    "IDEAL",
    "Absent",
    "Autoscale",
    "BreakEven",
    "Calibrated",
    "Calibration",
    "Campaign",
    "Chip",
    "Collective",
    "Comparison",
    "Compressed",
    "Decode",
    "Dense",
    "Description",
    "DescriptorError",
    "Estimate",
    "Fact",
    "Footprint",
    "Formats",
    "Frame",
    "Framework",
    "Gqa",
    "Host",
    "Hyper",
    "Indexer",
    "Kernel",
    "Launch",
    "Layers",
    "Layout",
    "Lengths",
    "Linear",
    "Link",
    "Mamba",
    "Measured",
    "Memory",
    "Message",
    "Mla",
    "Model",
    "Moe",
    "Needed",
    "Offload",
    "Op",
    "PerLayer",
    "Pools",
    "PostTraining",
    "Prediction",
    "Prefill",
    "QuestionError",
    "Rejection",
    "Report",
    "RooflineError",
    "Rule",
    "Scaling",
    "Score",
    "Search",
    "Serve",
    "ServingRun",
    "Simulation",
    "Source",
    "Span",
    "Splits",
    "Sweep",
    "System",
    "Tier",
    "Trace",
    "TrainStep",
    "Training",
    "TrainingRun",
    "TrainingSearch",
    "UnitError",
    "UnknownNameError",
    "Validation",
    "break_even",
    "calibrate",
    "campaign",
    "chip",
    "collective",
    "compare",
    "describe",
    "estimate",
    "framework",
    "largest",
    "launch",
    "listing",
    "model",
    "names",
    "needed",
    "offload",
    "pools",
    "post_train",
    "probability",
    "profile",
    "report",
    "roofline",
    "scaling",
    "search",
    "search_training",
    "simulate",
    "sweep",
    "system",
    "train",
    "validate",
]
