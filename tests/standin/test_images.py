"""The stand-in's images: one static binary each, taken up again rather than made again."""

from __future__ import annotations

import subprocess

import pytest

from tests.standin.fixtures import IMAGES

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("docker")]


def test_images_start_as_those_of_a_release_do_and_are_not_made_twice(docker_engine, standin_images, standin_binaries):
    pd, tikv, tag = standin_images
    made = [docker_engine.images.get(f"{name}:{tag}") for name in (pd, tikv)]
    assert [image.attrs["Config"]["Entrypoint"] for image in made] == [["/pd-server"], ["/tikv-server"]]
    assert all(image.attrs["Config"]["Labels"]["quorumquake.standin.binary"] for image in made)

    subprocess.run([IMAGES, standin_binaries], check=True)
    assert [docker_engine.images.get(f"{name}:{tag}").id for name in (pd, tikv)] == [image.id for image in made]


def test_an_option_that_tikv_does_not_have_ends_the_store_with_a_sentence(docker_engine, standin_images):
    from docker.errors import ContainerError

    _, tikv, tag = standin_images
    with pytest.raises(ContainerError, match="nonsense"):
        docker_engine.containers.run(f"{tikv}:{tag}", ["--nonsense"], remove=True, network_mode="none")
