"""A release of the firmware, as `deploy` makes it for a scenario's configuration, lives as the source does."""

import shutil

import pytest

from host_tools.build import configuration, device_config, firmware, image, modules
from host_tools.build.unused import unused
from host_tools.run.targets import process
from host_tools.scenario import file as scenario
from tests.run.targets.both import check

HOST = ("usageguard.hal.host", "usageguard.hal.virtual")
CHECKED = b"""
from configuration import load as made

def load(raw):
    return made(raw["device"]["id"], bytes.fromhex(raw["device"]["key"]), None)
"""


def released(name):
    """The class of images with a release for that scenario."""
    loaded = scenario.load(name)
    config = device_config.check(loaded.device_config(loaded.plan), name)

    class Released(image.Image):
        def __init__(self, mpy):
            super().__init__(mpy)
            if not mpy:
                return
            plan = configuration.source(config).encode()
            roots = ["usageguard.app", "usageguard.guard.guard", modules.driver(config.modem.family)]
            without = [*modules.VALIDATOR, *modules.ELSEWHERE, *modules.unneeded(config)]
            names = modules.reached([*roots, *HOST, *modules.imports(plan)], without)
            beside = {file.name: file.read_bytes() for file in image.DEVICE_SIDE.glob("*.py")}
            kept = set().union(*map(firmware.identifiers, beside.values()))
            loads = [*roots[:-1], *modules.imports(plan), *modules.parts(config), roots[-1]]
            release = firmware.released(names, loads, kept=kept, unused=unused(config))
            shutil.rmtree(self.lib / "usageguard")
            made = release.files()
            beside |= {"configuration.py": plan, "usageguard/config/load.py": CHECKED}
            made |= {name.replace(".py", ".mpy"): release.compiled(text, name) for name, text in beside.items()}
            for name, content in made.items():
                (self.lib / name).parent.mkdir(parents=True, exist_ok=True)
                (self.lib / name).write_bytes(content)

        def without(self, modules):
            return super().without(())

    return Released


PROOFS = ("wrong-clock", "overage")


@pytest.mark.parametrize("name", ["smoke", *(pytest.param(name, marks=pytest.mark.proof) for name in PROOFS)])
def test_it_goes_through_the_same_events(monkeypatch, name):
    monkeypatch.setattr(process, "Image", released(name))
    check(name)
