"""The command line. Data goes to standard output, all else to standard error; exit codes are in ``exit_codes``."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import click

from harness.exit_codes import ExitCode
from harness.guard import run_guarded

_FORMAT = click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default=None, help="How to print the result."
)
_OUT = click.option("--out", metavar="DIR", help="Folder below which run folders are made. [default: runs]")

DEFAULT_NAME: Final = "default"  # of a cluster that stays

_DOCKER_OPTIONS = (
    click.option("--pd", metavar="N", type=int, help="PD members of a cluster in Docker. [default: 3]"),
    click.option("--kv", metavar="N", type=int, help="TiKV stores of a cluster in Docker. [default: 3]"),
    click.option("--pd-image", metavar="IMAGE", help="Image of PD. [default: pingcap/pd]"),
    click.option("--kv-image", metavar="IMAGE", help="Image of TiKV. [default: pingcap/tikv]"),
    click.option("--version", metavar="TAG", help="Tag of both images. [default: v8.5.4]"),
    click.option("--subnet", metavar="CIDR", help="Network of the cluster. [default: 198.18.0.0/24]"),
    click.option("--pd-config", metavar="FILE", help="PD's own configuration. [default: one for small machines]"),
    click.option("--kv-config", metavar="FILE", help="TiKV's own configuration. [default: one for small machines]"),
)


def _commands() -> ModuleType:
    from harness import commands  # noqa: PLC0415 (half a second in which Ctrl-C, too, shall find the guard)

    return commands


def _cluster_commands() -> ModuleType:
    from harness import cluster_commands  # noqa: PLC0415 (a fifth of a second that only these need)

    return cluster_commands


def _docker_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a cluster in Docker, for each command that makes one."""
    for option in reversed(_DOCKER_OPTIONS):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="quorumquake", prog_name="quorumquake")
def cli() -> None:
    """Run concurrent transactions on TiKV under faults, and prove from the history whether its promises held.

    Exit codes: 0 valid, 1 anomaly, 2 usage, 3 unknown, 4 environment, 5 internal error, 130 interrupted.
    """


@cli.command()
@click.argument("workload")
@click.option(
    "--cluster",
    metavar="sim|docker[:NAME]|pd://H:P",
    help="The cluster: simulated, in Docker (made for the run, or left running), or somebody else's. [default: sim]",
)
@click.option("--nemesis", metavar="a,b|all|none", help="Faults to inject. [default: all on sim; what --bug needs]")
@click.option("--nemesis-interval", metavar="TIME", help="Mean time between faults. [default: 5s]")
@click.option("--time-limit", metavar="TIME", help="Length of the main phase, in the cluster's time. [default: 60s]")
@click.option("--concurrency", metavar="N", type=int, help="Client processes at once. [default: 10]")
@click.option("--rate", metavar="HZ", type=float, help="Operations a second, of all; 0 is no limit. [default: 75]")
@click.option("--seed", metavar="N", type=int, help="Seed of all randomness. [default: drawn, and printed]")
@click.option("--nodes", metavar="N", type=int, help="TiKV stores of the simulated cluster. [default: 5]")
@_docker_options
@click.option(
    "--readback",
    metavar="SHARE",
    type=float,
    help="Commits of a real cluster that are read back afterwards, from 0 to 1. [default: 0.1]",
)
@click.option(
    "--client-anomalies",
    metavar="unknown|fail|ignore",
    help="What a commit that the client did by half makes of the verdict. [default: unknown]",
)
@click.option("--fail-fast", is_flag=True, default=None, help="End the run at the first violation.")
@click.option("--bug", metavar="NAME", help="Plant a bug in the simulated cluster; see `list`.")
@click.option("--workload-opt", "workload_opts", metavar="K=V", multiple=True, help="An option of the workload.")
@_OUT
@_FORMAT
@click.option("--config", metavar="FILE", type=click.Path(path_type=Path), help="TOML with these options.")
@click.option("--dry-run", is_flag=True, help="Print the fault schedule and stop.")
def run(**options: Any) -> ExitCode:
    """Run WORKLOAD on a cluster under faults, check its history, write a report."""
    return _commands().run(**options)


@cli.command()
@click.argument("targets", metavar="RUN_OR_HISTORY...", nargs=-1, required=True)
@click.option("--kind", metavar="KIND", help="The kind of history (see `list kinds`), where it cannot be told from it.")
@click.option("--model", metavar="a,b", help="Consistency models to answer for. [default: what the kind is held to]")
@click.option(
    "--key-order",
    type=click.Choice(["sequential", "linearizable"]),
    help="Of rw-register: what each key by itself is known to be, which tells more of the order of its versions.",
)
@click.option("--check-timeout", metavar="TIME", default="10m", show_default=True, help="Give up on a file after that.")
@click.option("--check-memory", metavar="SIZE", help="Give up on a file that needs more memory, such as 2G.")
@_FORMAT
def check(**options: Any) -> ExitCode:
    """Judge run folders again, or history files: of this harness, Jepsen's EDN, plain logs; also .gz.

    Each gets a verdict, in order; the exit code is that of the worst.
    """
    return _commands().check(**options)


@cli.command()
@click.argument("source", metavar="HISTORY")
@click.argument("target", metavar="FILE")
def convert(**options: Any) -> ExitCode:
    """Write a history in another format, that of FILE's suffix: .jsonl or .edn, also .gz; - is standard output."""
    return _commands().convert(**options)


@cli.command()
@click.argument("target", metavar="RUN")
def report(**options: Any) -> ExitCode:
    """Write the HTML report of a run again, and print its path."""
    return _commands().report(**options)


@cli.command()
@click.argument("target", metavar="RUN")
@_OUT
@_FORMAT
def replay(**options: Any) -> ExitCode:
    """Run the same test again from its seed, and compare the histories."""
    return _commands().replay(**options)


@cli.command("list")
@click.argument("what", type=click.Choice(["all", "workloads", "nemeses", "bugs", "kinds", "runs"]), default="all")
@_OUT
@_FORMAT
def list_(**options: Any) -> ExitCode:
    """List workloads, faults, planted bugs, kinds of histories, and the runs so far."""
    return _commands().list_(**options)


@cli.command()
@_FORMAT
def doctor(**options: Any) -> ExitCode:
    """Say what works on this machine, what does not, and why."""
    return _commands().doctor(**options)


@cli.group()
def cluster() -> None:
    """Clusters in Docker: make one that stays, look after it, clean up what runs left behind."""


@cluster.command()
@click.option("--name", metavar="NAME", default=DEFAULT_NAME, show_default=True, help="Its name.")
@_docker_options
@click.option("--config", metavar="FILE", type=click.Path(path_type=Path), help="TOML with these options.")
def up(**options: Any) -> ExitCode:
    """Make a cluster that stays, and print what --cluster takes for it."""
    return _cluster_commands().up(**options)


@cluster.command()
@_FORMAT
def status(**options: Any) -> ExitCode:
    """Say which clusters are there, in what state, and which faults are in force."""
    return _cluster_commands().status(**options)


@cluster.command()
@click.argument("target", metavar="[NAME|RUN]", default=DEFAULT_NAME)
def heal(**options: Any) -> ExitCode:
    """Take away every fault in force: on a cluster, or those that a run's journal names."""
    return _cluster_commands().heal(**options)


@cluster.command()
@click.argument("name", default=DEFAULT_NAME)
@click.option("--out", metavar="DIR", default="logs", show_default=True, help="The folder for the files.")
def logs(**options: Any) -> ExitCode:
    """Write the log of every node to a folder."""
    return _cluster_commands().logs(**options)


@cluster.command()
@click.argument("name", default=DEFAULT_NAME)
def down(**options: Any) -> ExitCode:
    """Take a cluster away."""
    return _cluster_commands().down(**options)


@cluster.command()
@click.option("--all", "everything", is_flag=True, help="Also clusters that were left running on purpose.")
def clean(**options: Any) -> ExitCode:
    """Take away what crashed runs left behind."""
    return _cluster_commands().clean(**options)


def invoke(arguments: list[str]) -> ExitCode:
    """Run the command line ``arguments`` in this process. Raises what goes wrong: see ``guard``."""
    # Not standalone: click would turn an abort, and a broken pipe, into exit code 1, which means an anomaly here.
    outcome = cli.main(arguments, prog_name="quorumquake", standalone_mode=False)
    return ExitCode(outcome or 0)


def main() -> None:
    """The entry point of ``quorumquake`` and ``qq``."""
    code = run_guarded(lambda: invoke(sys.argv[1:]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what was found out stands, also while the interpreter ends
    sys.exit(code)


if __name__ == "__main__":
    main()
