"""The fleet's pages are measured as they are, in small."""

import socket

import pytest

from host_tools.bench.fleet_figures import PAGES, measured, serving


@pytest.mark.realtime
@pytest.mark.proof
def test_every_page_is_measured_beside_the_statements_in_it():
    with serving(120) as site:
        for name, path in PAGES.items():
            statements = site.statements(path)
            tables = {word for _, text in statements for word in text.split() if word in ("device", "bill", "report")}
            assert tables & {"bill" if name == "bill" else "report" if name == "device-page" else "device"}, name
            assert {of_index for of_index, _ in statements} == {True, False}, "of the index, and who asks of the store"
            page, bare = measured(site, path)
            assert 0 < bare < page, name
        assert b"tracker-00120" in site.get(PAGES["search"])
        assert b"tracker-00120" not in site.get(PAGES["search-miss"])
        site.close()  # as the server does
        site._connection = socket.create_connection(site._address, 60)
        site._connection.shutdown(socket.SHUT_WR)
        assert b"tracker-00120" in site.get(PAGES["search"])
        with pytest.raises(RuntimeError, match="404"):
            site.get("/nothing")
