"""The world of a test: the simulated cluster always, the stand-in among the long tests, a real one by an option."""

import pytest

from tests.contract.worlds import ClientWorld, SimWorld, StandInWorld

STAND_INS = {"world": "standin", "world_of_three": "standin_of_three"}


def pytest_generate_tests(metafunc):
    for fixture in STAND_INS.keys() & set(metafunc.fixturenames):
        long = [pytest.mark.long, pytest.mark.xdist_group("docker")]
        worlds = ["sim", pytest.param("standin", marks=long)]
        if metafunc.config.getoption("--contract-cluster"):
            worlds.append("real")
        metafunc.parametrize(fixture, worlds, indirect=True)


def _world(request):
    if request.param == "sim":
        return SimWorld()
    if request.param == "real":
        return ClientWorld(request.config.getoption("--contract-cluster"))
    return StandInWorld(request.getfixturevalue(STAND_INS[request.fixturename]))


@pytest.fixture
def world(request):
    """A cluster, of one store at least."""
    return _world(request)


@pytest.fixture
def world_of_three(request):
    """A cluster of several stores, each region on three of them."""
    return _world(request)
