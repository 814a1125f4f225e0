"""What is mutated, and which tests are asked for it: first its own, then those of what stands above it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "firmware"
LIVES = ("tests/policy/test_lives.py", "tests/soak/test_soak.py::test_former_failures_pass")


@dataclass(frozen=True, slots=True)
class Subject:
    """Files below firmware/usageguard, the tests that test them directly, and more tests for what survives those."""

    files: tuple[str, ...]
    own: tuple[str, ...]
    more: tuple[str, ...] = LIVES


DRIVER = tuple(f"tests/modem/test_{name}.py" for name in ("connection", "quectel_portable", "driver_with_sim"))
COUNTERS = "tests/net/test_admission_counters.py"
PARTS = ("account", "allowance", "figures", "life", "money", "pool", "standing")
ACCOUNT = tuple(f"tests/core/test_{name}.py" for name in ("account", "account_portable", "allowance", "orders"))
TORTURE = ("tests/torture/test_torture.py::test_the_ledger_keeps_its_promises", *LIVES)

SUBJECTS: dict[str, Subject] = {
    "ring": Subject(("store/ring.py",), ("tests/store",), TORTURE),
    "filelog": Subject(("store/filelog.py",), ("tests/store",), TORTURE),
    "ledger": Subject(("store/ledger.py", "store/reopen.py"), ("tests/store",), ("tests/clock", *TORTURE)),
    "meter": Subject(("core/meter.py",), ("tests/core/test_meter.py", COUNTERS), ("tests/net", *LIVES)),
    "admission": Subject(("net/admission.py", "net/doubts.py"), ("tests/net",)),
    "connection": Subject(
        tuple(f"modem/{name}.py" for name in ("connection", "buffered", "names", "quectel_connection")),
        (*DRIVER, "tests/net/test_sockets.py"),
        ("tests/modem", *LIVES),
    ),
    "policy": Subject(("core/policy.py",), ("tests/core/test_policy.py", "tests/core/test_policy_portable.py")),
    "account": Subject(
        tuple(f"core/account/{name}.py" for name in PARTS),
        ACCOUNT,
    ),
    "clock": Subject(
        ("clock.py", "corroborated.py"), ("tests/clock",), ("tests/run/targets/test_wrong_clocks.py", *LIVES)
    ),
    "orders": Subject(
        ("core/mac.py", "core/record.py", "core/account/orders.py", "guard/order_handler.py"),
        ("tests/core/test_mac.py", "tests/core/test_record_portable.py", "tests/guard", *ACCOUNT),
        ("tests/upstream/test_outbox.py", "tests/upstream/test_spec.py", *LIVES),
    ),
}
