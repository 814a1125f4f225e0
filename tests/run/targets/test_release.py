"""A release of the firmware, as `deploy` makes it, lives as the source does."""

import shutil

import pytest

from host_tools.build import firmware, image, modules
from host_tools.run.targets import process
from tests.run.targets.both import check

HOST = ("usageguard.hal.host", "usageguard.hal.virtual")


class Released(image.Image):
    """A device's files with the firmware, and what uses it, as a release."""

    def __init__(self, mpy):
        super().__init__(mpy)
        if not mpy:
            return
        driver = modules.driver("quectel")
        roots = ["usageguard.app", "usageguard.guard.guard", driver]
        names = modules.reached([*roots, *HOST, *modules.VALIDATOR], modules.ELSEWHERE)
        kept = set().union(*(firmware.identifiers(file.read_bytes()) for file in image.DEVICE_SIDE.glob("*.py")))
        release = firmware.released(names, roots, kept=kept)
        shutil.rmtree(self.lib / "usageguard")
        made = release.files()
        for file in image.DEVICE_SIDE.glob("*.py"):
            made[file.with_suffix(".mpy").name] = release.compiled(file.read_bytes(), file.name)
        for name, content in made.items():
            (self.lib / name).parent.mkdir(parents=True, exist_ok=True)
            (self.lib / name).write_bytes(content)

    def leave_out(self, modules):
        pass


@pytest.mark.parametrize("name", ["smoke", pytest.param("wrong-clock", marks=pytest.mark.proof)])
def test_it_goes_through_the_same_events(monkeypatch, name):
    monkeypatch.setattr(process, "Image", Released)
    check(name)
