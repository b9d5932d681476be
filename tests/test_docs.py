"""What the pages say about the program is compared with the program."""

import re
import shlex
from pathlib import Path

import click
import pytest

from checkers import models
from checkers.kinds import KINDS
from checkers.stats import Stats
from cluster.sim import backoff, latency, pd, pessimistic, store, tso
from cluster.sim.bugs import BUGS
from harness import drive, run_folder
from harness.cli import cli
from harness.clock import MILLISECOND, SECOND
from harness.config import KEYS, load_config
from harness.exit_codes import ExitCode
from harness.op import Op
from harness.protocols import CheckContext
from harness.registry import WORKLOADS
from harness.results import Results
from harness.settings import DEFAULTS
from harness.spec import parse_duration
from nemesis.registry import FAULTS, NEMESES

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md")])
SOURCES = [path for folder in ("harness", "workloads", "nemesis", "checkers", "reports", "cluster", "benchmarks")
           for path in (ROOT / folder).rglob("*.py")]  # fmt: skip

OPTIONS = (DOCS / "options.md").read_text()


def rows(text):
    """The cells of all rows of the tables of a page."""
    lines = [line for line in text.splitlines() if line.startswith("| `") or re.match(r"\| \d", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def row_of(text, first):
    found = [row for row in rows(text) if row[0] == first]
    assert len(found) == 1, f"one row for {first}, please, not {len(found)}"
    return found[0]


# Commands.


def command_lines():
    for page in PAGES:
        section = ""
        for number, raw in enumerate(page.read_text().splitlines(), start=1):
            section = raw if raw.startswith("## ") else section
            if page.name == "CONTRIBUTING.md" and section.startswith("## Add"):
                continue  # tests/test_recipes.py runs these, after what they need was added
            if not raw.startswith("    ") or raw.endswith("[options]"):
                continue  # prose, or a pattern
            line = raw.strip().removeprefix(".venv/bin/")
            for part in re.split(r" · ", line):
                if part.startswith("quorumquake "):
                    yield pytest.param(part, id=f"{page.name}:{number}")


def parse(line):
    """Parse the command line, callbacks and all, without running the command."""
    line = line.partition("  #")[0].partition(" >")[0].replace("[", "").replace("]", "")
    words = [re.sub(r"^\$\w+$", "7", word) for word in shlex.split(line, comments=True)][1:]
    name, command, rest = cli.resolve_command(click.Context(cli), words)
    assert name is not None
    assert command is not None
    with command.make_context(name, list(rest)) as context:
        return name, context.params


LINES = list(command_lines())


def test_there_are_command_lines_to_look_at():
    assert len(LINES) > 15


@pytest.mark.parametrize("line", LINES)
def test_command_lines_parse_and_name_what_there_is(line):
    name, given = parse(line)
    if name != "run" or given["workload"] == "WORKLOAD":
        return
    assert given["workload"] in WORKLOADS
    assert given["bug"] is None or given["bug"] in BUGS
    for nemesis in (given["nemesis"] or "all").split(","):
        assert nemesis in {*NEMESES, "all", "none"}
    for option in ("time_limit", "nemesis_interval"):
        assert given[option] is None or parse_duration(given[option], option)


@pytest.mark.parametrize("line", ["quorumquake run bank --sede 7", "quorumquake rune bank", "quorumquake check"])
def test_a_wrong_command_line_would_be_noticed(line):
    with pytest.raises(click.ClickException):
        parse(line)


def test_the_first_command_lines_are_the_two_of_make():
    lines = [line.strip() for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("    ")]
    assert [line.split("  ")[0] for line in lines[:2]] == ["make demo", "make test"]
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES:
        for target in re.findall(r"`make ([\w-]+)`", page.read_text()):
            assert f"\n{target}:" in makefile, f"{page.name} names make {target}"


# Files and links.


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/simulation.md", "docs/checking.md"])
def test_files_that_are_named_exist(page):
    text = (ROOT / page).read_text()
    known = [path.relative_to(ROOT).as_posix() for path in (*SOURCES, *(ROOT / "tests").rglob("*.py"))]
    known += ["quorumquake.py", *(f"examples/{path.name}" for path in (ROOT / "examples").iterdir())]
    new = set(re.findall(r"[Ii]n\s+`([\w/.]+\.py)`:\n\n```python", text))  # files that a recipe makes
    if new:
        new |= {"tests/workloads/test_counter.py"}
        text = re.sub(r"^```python\n.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"(?<![\w/*.])([\w/*]*\w*\*?\w*\.py)\b", text)) - new - {"utils.py"}
    assert len(named) > 7
    for name in sorted(named):
        pattern = re.compile(r"(.*/)?" + re.escape(name).replace(r"\*", r"[^/]*"))
        assert any(pattern.fullmatch(path) for path in known), f"{page} names {name}"


def test_architecture_leaves_no_module_out():
    text = (ROOT / "ARCHITECTURE.md").read_text() + (DOCS / "simulation.md").read_text()
    named = [re.compile(re.escape(name).replace(r"\*", ".*")) for name in set(re.findall(r"\*?\w[\w*]*\.py", text))]
    for path in SOURCES:
        if path.parent.name != "benchmarks" and path.name != "__init__.py":
            assert any(name.fullmatch(path.name) for name in named), path


def test_the_layers_are_those_of_the_contract():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    contract = (ROOT / "pyproject.toml").read_text().partition("layers = [")[2].partition("]")[0]
    places = []
    for layer in re.findall(r'"([^"]+)"', contract):
        names = [name.removeprefix("harness.") for name in layer.split(" | ")]
        found = [
            number
            for number, line in enumerate(text.splitlines())
            if line.startswith("    ") and all(re.search(rf"\b{name}\b", line.partition("  ")[2]) for name in names)
        ]
        places.append([number for number in found if not places or number > places[-1][0]])
        assert places[-1], layer


# Options.


RUN = {parameter.opts[0]: parameter for parameter in cli.commands["run"].params if isinstance(parameter, click.Option)}


@pytest.mark.parametrize("option", RUN)
def test_every_option_of_run_has_a_row_with_its_default(option):
    default = row_of(OPTIONS, f"`{option}`")[1].strip("`")
    name = option.removeprefix("--")
    if name in DEFAULTS and DEFAULTS[name] != "":
        said = parse_duration(default, name) if name in {"time-limit", "nemesis-interval"} else default
        assert str(said).removesuffix(".0") == str(DEFAULTS[name])
    else:
        assert default in {"", "none", "drawn", "one for small machines", "all`; on `pd://` `none"}


def test_the_commands_for_clusters_and_their_options_are_named():
    page = (DOCS / "docker.md").read_text()
    for name, command in cli.commands["cluster"].commands.items():
        row = next(row for row in rows(page) if row[0].startswith(f"`quorumquake cluster {name}"))
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert f"`{parameter.opts[0]}`" in page if name == "up" else row[2]


def test_the_options_of_the_other_commands_are_named():
    for name, command in cli.commands.items():
        if name == "run":
            continue
        row = next(row for row in rows(OPTIONS) if row[0].startswith(f"`quorumquake {name}"))
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert f"`{parameter.opts[0]}`" in row[2]
    assert len(cli.commands) == 8


def test_every_key_of_the_file_is_an_option():
    assert {f"--{key}" for key in KEYS} == set(RUN) - {"--config", "--dry-run"}


@pytest.mark.parametrize("workload", WORKLOADS)
def test_every_option_of_a_workload_has_a_row_with_its_default(workload):
    assert f"`{workload}`" in OPTIONS
    for option in WORKLOADS[workload].OPTIONS:
        row = row_of(OPTIONS, f"`{option.name}`")
        assert row[1] == f"`{option.default}`"
        for choice in option.choices:
            assert f"`{choice}`" in row[2]


def test_every_nemesis_has_a_row_with_its_kinds():
    for name, nemesis in NEMESES.items():
        row = row_of(OPTIONS, f"`{name}`")
        assert re.findall(r"`([^`]+)`", row[1]) == list(nemesis.kinds)
    assert {kind for nemesis in NEMESES.values() for kind in nemesis.kinds} == set(FAULTS)


def test_exit_codes_are_told_alike_everywhere():
    for page in (OPTIONS, (ROOT / "README.md").read_text()):
        assert [row[0] for row in rows(page) if row[0].isdigit()] == [str(int(code)) for code in ExitCode]


def test_the_example_file_is_one():
    config = load_config(ROOT / "examples" / "quorumquake.toml", ROOT)
    assert config["workload-opt"]["accounts"] == 12


# Bugs, anomalies, files, constants.


def test_every_planted_bug_has_its_place():
    page = (DOCS / "bugs.md").read_text()
    for name in BUGS:
        assert f"`{name}`" in page


def test_every_anomaly_is_explained():
    page = (DOCS / "checking.md").read_text()
    balance = (ROOT / "checkers" / "bank" / "balance.py").read_text()
    reported = re.findall(r'(?:report|_told)\(\s*"([a-z-]+)"', balance)
    assert "wrong-arithmetic" in reported
    for name in {*models._WEAKEST_BROKEN, *reported}:
        assert re.search(rf"^\| [^|]*`{name}`[^|]* \|", page, flags=re.MULTILINE), name
    for model in models._STRONGER:
        assert model in page


def test_every_kind_of_history_has_its_row():
    page = (DOCS / "checking.md").read_text()
    for name in KINDS:
        assert row_of(page, f"`{name}`")


def test_every_benchmark_named_is_there_and_its_options_too():
    page = (DOCS / "performance.md").read_text()
    named = re.findall(r"`(?:bench_)?(\w+)\.py([^`]*)`", page)
    assert len(named) >= 8
    for name, arguments in named:
        script = (ROOT / "benchmarks" / f"bench_{name}.py").read_text()
        for option in re.findall(r"--\w+", arguments):
            assert option in script, (name, option)


def test_every_checker_of_the_bank_is_explained():
    page = (DOCS / "checking.md").read_text()
    options = {option.name: option.default for option in WORKLOADS["bank"].OPTIONS}
    for checker in [*WORKLOADS["bank"](options, "docs").checkers(), Stats()]:
        assert f"| `{checker.name}` |" in page
    minimums = WORKLOADS["bank"].MINIMUMS
    assert f"fewer than {minimums['main']} `ok` operations in the main phase" in page
    assert minimums["final"] == 1
    assert CheckContext().claim.replace("-", " ")[:6] in page


def test_every_file_and_field_of_a_run_is_explained():
    page = (DOCS / "history.md").read_text()
    for name in (
        run_folder.SPEC,
        run_folder.HISTORY,
        run_folder.COLUMNS,
        run_folder.CLIENTS,
        run_folder.JOURNAL,
        run_folder.LEADERS,
        f"{run_folder.LOGS}/{run_folder.ORIGIN}",
        run_folder.RESULTS,
        run_folder.REPORT,
        *(f"`{field}`" for field in (*Op.__struct_fields__, *Results.__struct_fields__)),
    ):
        if name not in {"`schema_version`", "`took_s`"}:
            assert name in page, name


def test_constants_are_those_of_the_code():
    page = (DOCS / "simulation.md").read_text()
    kv, pds = store.RAFT_CONFIG, pd.RAFT_CONFIG

    def s(ns):
        return f"{ns / SECOND:g} s"

    def raft(config):
        e = config.election_ns
        return f"{s(config.heartbeat_ns)}, {s(e)} (drawn from {s(e)} to {s(2 * e)}), {s(config.lease_ns)}"

    def latencies(table):
        return f"{(table[31] + table[32]) / 2 / MILLISECOND:.2g} ms, {max(table) / MILLISECOND:.3g} ms"

    ttl = pessimistic.LOCK_TTL_MS * MILLISECOND
    for value in (
        raft(kv),
        raft(pds),
        f"{tso.UPDATE_INTERVAL_NS // MILLISECOND} ms, {s(tso.SAVE_INTERVAL_MS * MILLISECOND)}",
        f"{s(ttl)}, {s(ttl // 2)}",
        f"{s(backoff.RPC_TIMEOUT_NS)}, {s(backoff.CALL_BUDGET_NS)}",
        s(drive.DEADLINE_NS),
        latencies(latency.NETWORK_NS),
        latencies(latency.FSYNC_NS),
    ):
        assert f"| {value} |" in page, value


# The pages themselves.


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lines_are_not_longer_than_those_of_the_code(page):
    assert [line for line in page.read_text().splitlines() if len(line) > 120] == []
