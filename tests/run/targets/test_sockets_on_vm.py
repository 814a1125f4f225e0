"""The metered sockets on the real VM, against real servers: no allocation, TLS, stock libraries."""

import pytest

from tests.run.targets.conftest import APPS, run, told


@pytest.mark.parametrize("bearer", ["at", "ppp"])
def test_writing_and_reading_allocate_nothing_not_even_across_a_lease_renewal(bearer, echo_server):
    result = run(APPS / "heap_app.py", bearer=bearer, echo=echo_server)
    events = told(result, "heap-")
    sizes = [(1, i) for i in range(8)]
    assert [e for e in events if e[0] != "heap-leases"] == [
        ("heap-ok", size, i) for i in range(len(sizes)) for size in (1, 16, 1460, 4000)
    ]
    assert events[-1][0] == "heap-leases"
    assert events[-1][1] >= 3, "no lease was renewed under the lock"


def test_tls_verifies_and_streams_without_allocating(tls_server, certificate):
    result = run(APPS / "tls_app.py", files={"ca.der": certificate[0]}, tls_example=tls_server)
    assert told(result, "tls-") == [
        ("tls-verified", 0, 0),
        *(("tls-echoed", size, 0) for size in (1, 16, 1460, 4000)),
        ("tls-refused-a-stranger", 0, 0),
    ]
