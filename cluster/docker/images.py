"""The images of a cluster: there already, or pulled; the one of the pause containers is made here."""

from __future__ import annotations

import contextlib
from typing import Final

import docker.errors

from cluster.docker.engine import Engine
from cluster.docker.pause import PROGRAM, pause_archive
from harness.exit_codes import EnvironmentFailure
from harness.spec import DockerOptions

PAUSE_REPOSITORY: Final = "quorumquake/pause"
PAUSE_TAG: Final = "1"
PAUSE_IMAGE: Final = f"{PAUSE_REPOSITORY}:{PAUSE_TAG}"


async def ensure_images(engine: Engine, options: DockerOptions) -> None:
    """Pull what is not there.

    Raises:
        EnvironmentFailure: an image is not there and cannot be pulled.
    """
    for image in (options.pd_image, options.kv_image):
        if not await _there(engine, f"{image}:{options.version}"):
            await _pull(engine, image, options.version)
    await engine.call(ensure_pause_image, engine)


def ensure_pause_image(engine: Engine) -> None:
    """Make the image of the pause containers, unless it is there. Blocks.

    Raises:
        EnvironmentFailure: it cannot be made.
    """
    with contextlib.suppress(docker.errors.NotFound):
        engine.do(engine.api.inspect_image, PAUSE_IMAGE)
        return
    machine = str(engine.do(engine.api.version).get("Arch", ""))
    made = engine.do(
        engine.api.import_image_from_data,
        pause_archive(machine),
        repository=PAUSE_REPOSITORY,
        tag=PAUSE_TAG,
        changes=[f'ENTRYPOINT ["{PROGRAM}"]'],
    )
    try:
        engine.do(engine.api.inspect_image, PAUSE_IMAGE)
    except docker.errors.NotFound:
        raise EnvironmentFailure(f"the image of the pause containers could not be made: {made}") from None


async def image_id(engine: Engine, image: str) -> str:
    """The id of an image that is there: what a tag meant in this run."""
    return str((await engine.call(engine.api.inspect_image, image))["Id"])


async def _there(engine: Engine, image: str) -> bool:
    try:
        await engine.call(engine.api.inspect_image, image)
    except docker.errors.NotFound:
        return False
    return True


async def _pull(engine: Engine, image: str, tag: str) -> None:
    try:
        await engine.call(engine.api.pull, image, tag=tag)
    except (docker.errors.NotFound, EnvironmentFailure) as error:
        reason = " ".join(str(getattr(error, "explanation", None) or error).split()).removeprefix("Docker says no: ")
        raise EnvironmentFailure(
            f"the image {image}:{tag} is not here and cannot be pulled ({reason}): "
            "choose others with --pd-image, --kv-image and --version"
        ) from None
