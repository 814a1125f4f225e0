"""The connection to the database: what ends in the middle is not half done, and what is lost comes back."""

import signal
from contextlib import closing

import pytest

from host_tools.collector.connect import connected
from host_tools.collector.database import StoreError, UnavailableError, shown
from tests.collector import servers


@pytest.fixture
def pair(database):
    """Two connections to one database; the second one waits for nobody."""
    with closing(connected(database, 5, True)) as one, closing(connected(database, 0, False)) as other:
        yield one, other


def tags(database):
    return [tag for (tag,) in database.execute("SELECT tag FROM tag ORDER BY tag")]


def put(database, tag):
    database.execute("INSERT INTO tag VALUES (?, '')", (tag,))


def test_all_or_nothing(pair):
    one, other = pair

    def both(*tags):
        with one.transaction():
            for tag in tags:
                put(one, tag)

    with pytest.raises(StoreError):
        both("a", "a")
    with one.transaction():
        put(one, "b")
        with pytest.raises(StoreError):
            both("c", "b")
        with one.transaction():
            put(one, "d")
        assert tags(other) == []
    assert tags(other) == ["b", "d"]


def test_one_writes_at_a_time(pair):
    one, other = pair
    with one.transaction():
        with pytest.raises(UnavailableError) as refused, other.transaction():
            pytest.fail("both write")
        assert "try again" in refused.value.hint
        put(one, "a")
    with other.transaction():
        put(other, "b")
    assert tags(one) == ["a", "b"]


def test_what_failed_outside_a_part_cannot_be_committed(database):
    """PostgreSQL would take the COMMIT, and roll back."""
    with closing(connected(database, 5, True)) as one:
        if not one.postgresql:
            pytest.skip("SQLite goes on")

        def goes_on():
            with one.transaction():
                put(one, "a")
                with pytest.raises(StoreError):
                    put(one, "a")

        with pytest.raises(UnavailableError, match="has ended"):
            goes_on()
        assert tags(one) == []


def test_a_transaction_that_has_ended_by_itself_is_not_gone_on_with(database):
    with closing(connected(database, 5, True)) as one, closing(connected(database, 5, False)) as other:

        def goes_on():
            with one.transaction():
                put(one, "a")
                end(one, other)
                for each in "bc":
                    with pytest.raises(StoreError), one.transaction():
                        put(one, each)

        with pytest.raises(UnavailableError):
            goes_on()
        assert tags(one) == [], "neither in it nor on its own"
        with one.transaction():
            put(one, "d")
        assert tags(one) == ["d"]


def end(one, other):
    """As a full disk does it with SQLite, and a server that is restarted with PostgreSQL."""
    if one.postgresql:
        other.execute("SELECT pg_terminate_backend(?)", (one.raw.info.backend_pid,))
    else:
        one.execute("ROLLBACK")


@pytest.mark.realtime
def test_a_server_that_was_killed_is_used_again():
    with servers.postgresql() as server, closing(connected(server.new(), 5, True)) as one:
        with one.transaction():
            put(one, "a")
        server.stop(signal.SIGQUIT)
        for _ in range(2):
            with pytest.raises(UnavailableError) as refused:
                put(one, "b")
            assert "server runs" in refused.value.hint
        server.start()
        with one.transaction():
            put(one, "c")
        assert tags(one) == ["a", "c"]


def test_without_a_server_its_tests_are_skipped(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("host_tools.bench.servers._ELSEWHERE", ())
    for server in (servers.postgresql, servers.mosquitto):
        with pytest.raises(pytest.skip.Exception, match="is not installed"), server():
            pass


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("reports.sqlite", "reports.sqlite"),
        ("postgresql://me:secret@host:5433/db?sslmode=require&password=secret", "postgresql://me@host:5433/db"),
        ("postgresql:///db?host=/run", "postgresql:///db"),
    ],
)
def test_a_password_is_not_shown(name, said):
    assert shown(name) == said


def test_a_url_that_is_none_is_refused_without_its_password():
    with pytest.raises(StoreError) as refused:
        connected("postgresql://me:secret@host/db?nonsense=1", 5, False)
    assert "secret" not in str(refused.value)
