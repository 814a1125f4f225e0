"""The path of an octet: what metering adds to it, what an idle step costs, what digesting costs beside other ways."""

from __future__ import annotations

import contextlib
import functools

from host_tools.bench.figures import Measured, figure
from host_tools.bench.octet_path import counter

_open = contextlib.ExitStack()  # the image, until the process ends


@functools.cache
def instructions(case: str) -> float:
    """Instructions of a round of a case of `device/octet_path.py`. UsageError where there is no valgrind."""
    return _counter().instructions(case)


@functools.cache
def _counter():
    return _open.enter_context(counter())


def _metering(path: str) -> Measured:
    """Admission, meter and ledger, of the instructions of a send or receive of 512 octets."""
    metered, bare = instructions(f"{path} metered"), instructions(f"{path} bare")
    return Measured(100 * (metered - bare) / metered, {"instructions": metered, "bare driver": bare})


@figure("path.send", "% metering", most=3.0, held=7.6)
def _send() -> Measured:
    return _metering("send quectel")


@figure("path.receive", "% metering", most=3.0, held=8.6)
def _receive() -> Measured:
    return _metering("receive quectel")


@figure("path.send-null", "% metering", most=5.0, held=22.0)
def _send_null() -> Measured:
    return _metering("send null")


@figure("path.receive-null", "% metering", most=5.0, held=44.5)
def _receive_null() -> Measured:
    return _metering("receive null")


@figure("path.idle-step", "% of a send", most=10.0)
def _idle_step() -> float:
    return 100 * instructions("idle null metered") / instructions("send null metered")


@figure("path.publish", "instructions")
def _publish() -> Measured:
    alone = instructions("publish alone")
    return Measured(
        instructions("publish quectel metered"),
        {"bare driver": instructions("publish quectel bare"), "umqtt alone": alone},
    )


@figure("path.lines", "x readline", least=1.0)
def _lines() -> Measured:
    return _digesting("lines", "readline")


@figure("path.payload", "x octet by octet", least=10.0)
def _payload() -> Measured:
    return _digesting("payload", "octet")


def _digesting(stream: str, other: str) -> Measured:
    """How much less digesting a stream takes than the way of the `other`, which common drivers go."""
    digest = instructions(f"digest {stream}")
    peers = {name: instructions(f"{name} {stream}") for name in ("readline", "octet")}
    return Measured(
        peers[other] / digest,
        {"instructions": digest, "readline": peers["readline"], "octet by octet": peers["octet"]},
    )
