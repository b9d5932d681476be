"""What a test asks for to get a cluster: the stand-in in processes, or a Docker engine and images for it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tests.standin.processes import StandIn

HERE = Path(__file__).parent
BUILD = HERE / "build.sh"
IMAGES = HERE / "images.sh"
START_ENGINE = "apt-get install docker.io iptables && dockerd"


def pytest_addoption(parser):
    """Let the contract be tried on a cluster that somebody runs."""
    parser.addoption("--contract-cluster", metavar="pd://HOST:PORT", help="try tests/contract on this cluster too")


def missing(what: str) -> NoReturn:
    """A test cannot run here: it is skipped, but in CI, where everything is to be there, it fails."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


def _build(script: Path, directory: Path) -> None:
    built = subprocess.run([str(script), str(directory)], capture_output=True, text=True, check=False)
    if built.returncode:
        pytest.fail(f"{script} failed:\n{built.stderr[-2000:]}")


@pytest.fixture(scope="session")
def standin_binaries() -> Path:
    """The directory of the stand-in's programs, built where they are not there yet."""
    cache = Path(os.environ.get("QUORUMQUAKE_STANDIN") or Path.home() / ".cache" / "quorumquake" / "standin")
    if shutil.which("go"):
        _build(BUILD, cache)
    elif not (cache / "sources").exists():
        missing(f"the stand-in for PD and TiKV needs Go to be built: install it, then run {BUILD}")
    return cache


@pytest.fixture(scope="session")
def docker_engine():
    """A Docker engine that answers, as a ``docker.DockerClient``."""
    import docker
    from docker.errors import DockerException

    try:
        engine = docker.from_env()
        engine.ping()
    except DockerException as error:
        missing(f"no Docker engine answers ({error}): install and start one, on Debian with '{START_ENGINE}'")
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def standin_images(docker_engine, standin_binaries: Path) -> tuple[str, str, str]:
    """The images of the stand-in, made where the engine does not have them: PD's, TiKV's, and the tag of both."""
    if not shutil.which("docker"):
        missing("the stand-in's images are made with the docker command: install it")
    _build(IMAGES, standin_binaries)
    return "quorumquake-standin/pd", "quorumquake-standin/tikv", "dev"


def _running(binaries: Path, folder: Path, stores: int) -> Iterator[StandIn]:
    folder.mkdir(parents=True, exist_ok=True)
    standin = StandIn(binaries, folder, stores)
    try:
        standin.start()
        yield standin
    finally:
        standin.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def _shared_standin(standin_binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    yield from _running(standin_binaries, tmp_path_factory.mktemp("standin"), 1)


@pytest.fixture
def standin(_shared_standin: StandIn) -> StandIn:
    """One PD and one store, healthy, shared by the tests, which use keys of their own."""
    _shared_standin.wait_until_ready()
    return _shared_standin


@pytest.fixture
def standin_of_three(standin_binaries: Path, tmp_path: Path) -> Iterator[StandIn]:
    """One PD and three stores, each region on all of them, to be broken."""
    yield from _running(standin_binaries, tmp_path / "standin", 3)
