"""The public names: all there, all explained, and cheap to import."""

import inspect
import subprocess
import sys
import types
from pathlib import Path

import pytest

import quorumquake

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("harness", "cluster", "checkers", "nemesis", "reports", "workloads")


def test_all_names_what_is_there_and_nothing_twice():
    names = quorumquake.__all__
    assert names == sorted(set(names), key=_constants_first)
    defined = {name for name, value in vars(quorumquake).items() if not _is_private(name, value)}
    assert defined == set(names)


def _constants_first(name: str) -> tuple[int, str]:
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


def _is_private(name: str, value: object) -> bool:
    return name.startswith("_") or isinstance(value, types.ModuleType)


@pytest.mark.parametrize("name", quorumquake.__all__)
def test_every_name_is_documented(name):
    value = getattr(quorumquake, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        # A protocol or a struct inherits the docstring of its base: that says nothing.
        text = value.__doc__
        assert text
        assert len(text.split()) > 2
    page = (ROOT / "docs" / "python.md").read_text()
    assert f"`{name}`" in page


def test_nothing_is_defined_in_the_facade():
    for name in quorumquake.__all__:
        value = getattr(quorumquake, name)
        assert getattr(value, "__module__", "") != "quorumquake", name


def test_importing_it_does_not_load_what_only_some_runs_need():
    heavy = ["docker", "matplotlib", "networkx", "pandas", "tikv_client"]
    code = f"import sys, quorumquake; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_says_that_it_is_typed(package):
    assert (ROOT / package / "py.typed").is_file()


def test_a_spec_from_python_is_that_of_the_command_line():
    from click.testing import CliRunner

    from harness.cli import cli

    command = ["run", "bank", "--seed", "7", "--bug", "unsynced-log", "--nemesis", "kill,partition", "--dry-run"]
    printed = CliRunner().invoke(cli, command, standalone_mode=False).output
    spec = quorumquake.make_spec("bank", seed=7, bug="unsynced-log", nemesis=["partition", "kill"])
    assert spec.command_line() in printed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sed": 7}, "seed"),
        ({"format": "json"}, "option"),
        ({"bug": "unsynced"}, "unsynced-log"),
        ({"nemesis": "partitions"}, "partition"),
        ({"time_limit": "soon"}, "time-limit"),
        ({"workload_options": {"acounts": 3}}, "accounts"),
        ({"cluster": "k8s"}, "sim"),
    ],
)
def test_a_spec_of_nonsense_is_refused(options, said):
    with pytest.raises(quorumquake.UsageError, match=said):
        quorumquake.make_spec("bank", **options)
