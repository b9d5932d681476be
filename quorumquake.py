"""quorumquake: a chaos and consistency test harness for TiKV. Its public names; what is not here may change.

Nothing is defined in this file. The names are listed by subject in docs/python.md.
"""

from checkers.bank.balance import TotalBalance
from checkers.bank.strict_serializability import StrictSerializability
from checkers.coverage import Coverage
from checkers.kind import Kind
from checkers.kinds import KINDS
from checkers.run_checks import run_checks
from checkers.stats import Stats
from cluster.api import Capability, Cluster, Cut, Evidence, Faults, Node, Snapshot, Store, Txn, TxnMode
from cluster.errors import (
    Aborted,
    KeyExists,
    LockTimeout,
    RolledBack,
    StoreError,
    Unavailable,
    UnavailableBeforeCommit,
    Undetermined,
    WriteConflict,
)
from cluster.external import ExternalCluster
from cluster.sim.bugs import BUGS, Bug
from cluster.sim.cluster import SimCluster
from harness.clock import MICROSECOND, MILLISECOND, SECOND, Clock
from harness.columns import PlainEncoder
from harness.exit_codes import EnvironmentFailure, ExitCode, QuorumquakeError, UsageError
from harness.generator import (
    any_of,
    at_times,
    clients,
    each,
    each_process,
    fill,
    is_taken,
    later,
    limit,
    mix,
    on_nemesis,
    phases,
    repeat,
    sequence,
    stagger,
    time_limit,
    until_ok,
)
from harness.generator_simulation import simulate
from harness.history import History
from harness.interpreter import Outcome, interpret
from harness.judge import judge, judge_file, judge_run
from harness.op import FAIL, INFO, INVOKE, NEMESIS, OK, Op
from harness.protocols import (
    ABSENT,
    PENDING,
    CheckContext,
    Checker,
    Claim,
    Client,
    ClientFactory,
    Context,
    Generator,
    KeepsPartial,
    Pending,
    RowEncoder,
    Workload,
    WorkloadOption,
)
from harness.recorder import Recorder
from harness.registry import WORKLOADS, make_spec
from harness.results import Results
from harness.rng import Stream, Streams
from harness.run import Finished, Plan, plan_run, run
from harness.run_folder import RunFolder
from harness.spec import RunSpec
from harness.verdict import Anomaly, Edge, Validity, Verdict
from nemesis.fault import Fault, Injection, InstantFault, LastingFault, NotApplicable, Scene, World
from nemesis.registry import FAULTS, NEMESES, Nemesis
from nemesis.schedule import PlannedFault, Schedule, draw_schedule
from reports.html import write_report
from workloads.bank import Bank

__all__ = [
    "ABSENT",
    "BUGS",
    "FAIL",
    "FAULTS",
    "INFO",
    "INVOKE",
    "KINDS",
    "MICROSECOND",
    "MILLISECOND",
    "NEMESES",
    "NEMESIS",
    "OK",
    "PENDING",
    "SECOND",
    "WORKLOADS",
    "Aborted",
    "Anomaly",
    "Bank",
    "Bug",
    "Capability",
    "CheckContext",
    "Checker",
    "Claim",
    "Client",
    "ClientFactory",
    "Clock",
    "Cluster",
    "Context",
    "Coverage",
    "Cut",
    "Edge",
    "EnvironmentFailure",
    "Evidence",
    "ExitCode",
    "ExternalCluster",
    "Fault",
    "Faults",
    "Finished",
    "Generator",
    "History",
    "Injection",
    "InstantFault",
    "KeepsPartial",
    "KeyExists",
    "Kind",
    "LastingFault",
    "LockTimeout",
    "Nemesis",
    "Node",
    "NotApplicable",
    "Op",
    "Outcome",
    "Pending",
    "PlainEncoder",
    "Plan",
    "PlannedFault",
    "QuorumquakeError",
    "Recorder",
    "Results",
    "RolledBack",
    "RowEncoder",
    "RunFolder",
    "RunSpec",
    "Scene",
    "Schedule",
    "SimCluster",
    "Snapshot",
    "Stats",
    "Store",
    "StoreError",
    "Stream",
    "Streams",
    "StrictSerializability",
    "TotalBalance",
    "Txn",
    "TxnMode",
    "Unavailable",
    "UnavailableBeforeCommit",
    "Undetermined",
    "UsageError",
    "Validity",
    "Verdict",
    "Workload",
    "WorkloadOption",
    "World",
    "WriteConflict",
    "any_of",
    "at_times",
    "clients",
    "draw_schedule",
    "each",
    "each_process",
    "fill",
    "interpret",
    "is_taken",
    "judge",
    "judge_file",
    "judge_run",
    "later",
    "limit",
    "make_spec",
    "mix",
    "on_nemesis",
    "phases",
    "plan_run",
    "repeat",
    "run",
    "run_checks",
    "sequence",
    "simulate",
    "stagger",
    "time_limit",
    "until_ok",
    "write_report",
]
