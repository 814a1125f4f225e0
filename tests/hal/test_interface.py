"""Every platform has the methods of `usageguard.hal.interface`, with the same parameters."""

import inspect

import pytest

from host_tools.base import paths
from tests.hal.hardware import BoardRig

paths.use_firmware()

from usageguard.hal.host import HostHal  # noqa: E402
from usageguard.hal.interface import Hal  # noqa: E402

METHODS = {name: method for name, method in vars(Hal).items() if inspect.isfunction(method)}
ATTRIBUTES = {name for name in vars(Hal) if not name.startswith("_")} - set(METHODS)


class Link:
    """Answers every request with zeros."""

    in_process = False
    ticks = rx_any = 0

    def tell(self, op, a, arg, payload, n):
        pass

    def answer(self, into):
        return 0


def board(monkeypatch):
    return BoardRig().adapter(monkeypatch).Hal({"uart": 1, "tx": 26, "rx": 27, "baud": 115200})


def host(monkeypatch):
    return HostHal(Link())


@pytest.mark.parametrize("platform", [host, board])
def test_a_platform_has_what_the_interface_names(platform, monkeypatch):
    hal = platform(monkeypatch)
    for name, method in METHODS.items():
        wanted = [(each.name, each.default) for each in inspect.signature(method).parameters.values()][1:]
        found = inspect.signature(getattr(hal, name))
        assert [(each.name, each.default) for each in found.parameters.values()] == wanted, name
    assert not [name for name in ATTRIBUTES if not hasattr(hal, name)]


@pytest.mark.parametrize("platform", [host, board])
def test_a_platform_has_no_other_public_method(platform, monkeypatch):
    hal = platform(monkeypatch)
    methods = {name for name in dir(hal) if not name.startswith("_") and callable(getattr(hal, name))}
    assert methods == set(METHODS)
    assert all(method.__doc__ for method in METHODS.values())
