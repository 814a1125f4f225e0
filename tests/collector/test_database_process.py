"""What several processes take is stored by the one that has the database; here they are one."""

import asyncio
import socket
from contextlib import AsyncExitStack, asynccontextmanager, closing
from datetime import UTC, datetime, timedelta

import cbor2
import pytest
from aiocoap import Code, Message
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.collector import writer
from host_tools.collector.database_process import RemoteIntake, handing_over, store_for
from host_tools.collector.intake import BAD_MAC, Collector, Exchange
from host_tools.collector.lives import KnownLives
from host_tools.collector.order import Order
from host_tools.collector.store import Store
from tests.collector.sealed import DEVICE, FIELDS, KEYS, LIFE, brief, full, routine, sealed
from tests.collector.test_intake import code, post

T0 = datetime(2025, 6, 1, 12, 0, 0, tzinfo=UTC)
PATIENCE_S = 20  # how long a broken collector may hold up the tests
OTHER = "tracker-002"
SLOW = settings(max_examples=30, deadline=None)


class Front:
    """One that is asked, and its link; `theirs` is the end of the process with the database."""

    def __init__(self, now=lambda: T0):
        self.intake = RemoteIntake(KEYS, KnownLives(), now)
        self.link, self.theirs = socket.socketpair()

    def handing_over(self):
        return handing_over(self.intake, self.link)

    def ask(self, batches, datagram):
        """A future of the answer."""
        answer = asyncio.get_running_loop().create_future()
        taken = self.intake.receive(datagram, None)
        if isinstance(taken, Exchange):
            batches.put(taken, lambda report, result: answer.set_result(self.intake.answer(report, result)))
        else:
            answer.set_result(taken)
        return answer


def runs(story):
    async def patiently():
        task = asyncio.create_task(story)
        await asyncio.wait([task], timeout=PATIENCE_S)
        assert task.done(), "it waits for what does not come"  # all tasks are cancelled then
        return task.result()

    return asyncio.run(patiently())


@asynccontextmanager
async def storing_for(collector, *fronts):
    """The fronts' batches, which are stored while the context is open."""
    async with AsyncExitStack() as stack:
        storing = asyncio.create_task(store_for(collector, [each.theirs for each in fronts]))
        stack.push_async_callback(lambda: storing)
        yield [await stack.enter_async_context(each.handing_over()) for each in fronts]


def codes(answers):
    return [code(each) for each in answers]


@pytest.fixture
def store(tmp_path):
    with closing(Store(tmp_path / "reports.sqlite")) as made:
        yield made


BLOBS = [
    sealed(payload=cbor2.dumps(full(counter=7))),
    *(routine(version=3, seq=seq, counter=7) for seq in (1, 2, 3)),
    brief(full(counter=7), seq=8),
    brief(full(counter=7), seq=9),
    routine(version=3, seq=3, counter=7, carried_octets=1),  # its number is taken, or its figures go back
    routine(version=3, seq=4, counter=7, key=bytes(32)),
    sealed(payload=cbor2.dumps(full(life_id=b"next", sim=b"SIM2"))),
    routine(life_id=b"next", version=3, seq=6),
    sealed(device=OTHER, key=bytes(32), payload=cbor2.dumps(full())),  # the SIM of the first one
    sealed(device="stranger"),
    b"hello",
]


@SLOW
@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from(BLOBS)), max_size=25))
def test_what_two_fronts_take_is_answered_and_stored_as_by_one_collector(asked):
    """Each of them knows what the other one was told, and hears of it as the collector does."""
    heard = [], []

    def hear(where):
        return lambda received, kept: where.append((received, kept.outcome, kept.alarms))

    now = T0  # of each datagram, two seconds after the one before: lives are looked for once in a second

    async def shared():
        nonlocal now
        fronts = [Front(lambda: now) for _ in range(2)]
        for each in fronts:
            each.intake.listeners.append(hear(heard[0]))
        async with storing_for(Collector(stores[0], KEYS, lambda: now), *fronts) as batches:
            for number, datagram in datagrams:
                yield await fronts[number].ask(batches[number], datagram)
                now += timedelta(seconds=2)

    async def story():
        return [answer async for answer in shared()]

    asked[:0] = [(0, BLOBS[0]), (1, BLOBS[0])]  # of a life that is not known, a brief report tells no device
    datagrams = [(number, post(blob, mid)) for mid, (number, blob) in enumerate(asked)]
    with closing(Store()) as one, closing(Store()) as other:
        stores = one, other
        answers = runs(story())
        now = T0
        alone = Collector(other, KEYS, lambda: now)
        alone.listeners.append(hear(heard[1]))
        for (_, datagram), answer in zip(datagrams, answers, strict=True):
            assert alone.coap(datagram) == answer, [(n, BLOBS.index(b)) for n, b in asked]
            now += timedelta(seconds=2)
        assert heard[0] == heard[1], [(n, BLOBS.index(b)) for n, b in asked]
        for table in "life", "report", "newest", "alarm", "sim":
            rows = [each.database.execute(f"SELECT * FROM {table}") for each in stores]
            assert rows[0] == rows[1]


def test_a_life_that_another_one_was_told_is_asked_for_once(store):
    """In the same second it would not be asked for again."""

    async def story():
        told, front = Front(), Front()
        async with storing_for(Collector(store, KEYS), told, front) as (its_batches, batches):
            await told.ask(its_batches, post(sealed(life_id=LIFE), 1))
            blobs = routine(seq=1), brief([*(FIELDS | {"version": 2}).values()], seq=2), routine(seq=3)
            return codes([await front.ask(batches, post(blob, mid)) for mid, blob in enumerate(blobs)])

    assert runs(story()) == [Code.CHANGED] * 3


def test_an_order_goes_with_the_answer(store):
    async def story():
        front = Front()
        async with storing_for(Collector(store, KEYS), front) as (batches,):
            await front.ask(batches, post(sealed(life_id=LIFE), 1))
            order = Order(counter=store.book.next_counter(DEVICE), limit=5)
            store.book.give(DEVICE, order, T0, by="me", what="limit=5", why="", before="")
            return order, await front.ask(batches, post(routine(seq=1), 2))

    order, answer = runs(story())
    told = cbor2.loads(cbor2.loads(Message.decode(answer).payload)[2])
    assert told[3:] == list(order.fields())


def test_reports_that_come_together_are_each_answered_for_themselves(store):
    """One cannot be stored; one is of a life that is known to nobody; and one has that life's MAC, and is none."""
    fails = "CREATE TEMP TRIGGER fails AFTER INSERT ON report WHEN NEW.seq = 2 BEGIN SELECT RAISE(FAIL, 'no'); END"
    blobs = [sealed(seq=1), sealed(seq=2), routine(), sealed(seq=3), sealed(life_id=LIFE, seq=4)]

    async def story():
        front, other = Front(), Front()
        async with storing_for(Collector(store, KEYS), front, other) as batches:
            store.database.execute(fails)
            together = [front.ask(batches[0], post(blob, mid)) for mid, blob in enumerate(blobs)]
            malformed = await asyncio.gather(*together), other.ask(batches[1], post(routine(payload=b"\x83\1\2\3"), 9))
            return [*malformed[0], await malformed[1]], front.intake.refusals, other.intake.refusals

    answers, *refusals = runs(story())
    new, refused = Code.CHANGED, Code.UNAUTHORIZED
    assert codes(answers) == [new, Code.SERVICE_UNAVAILABLE, refused, new, new, refused]
    assert refusals == [{"not stored (no)": 1, BAD_MAC: 1}, {BAD_MAC: 1}]
    assert [received.report.seq for received in store.history(DEVICE)] == [1, 3, 4]


def test_while_the_database_is_slow_others_are_answered_and_few_reports_wait(store, monkeypatch):
    """The link has no room for the batch that was handed over."""
    monkeypatch.setattr(writer, "_MOST_WRITTEN", 100)
    monkeypatch.setattr(writer, "_MOST_WAITING", 120)

    async def story():
        front = Front()
        front.link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        async with front.handing_over() as batches:
            asked = [front.ask(batches, post(sealed(seq=seq), seq)) for seq in range(120)]
            await asyncio.sleep(0)  # a batch is handed over
            asked += [front.ask(batches, post(sealed(seq=seq), seq)) for seq in range(120, 220)]
            (too_many,) = codes([await front.ask(batches, post(sealed(seq=220), 220))])
            (malformed,) = codes([await front.ask(batches, post(b"hello", 221))])
            assert not any(each.done() for each in asked)
            storing = asyncio.create_task(store_for(Collector(store, KEYS), [front.theirs]))
            await asyncio.gather(*asked)
        await storing
        return too_many, malformed, codes(each.result() for each in asked)

    too_many, malformed, asked = runs(story())
    assert (too_many, malformed) == (Code.SERVICE_UNAVAILABLE, Code.BAD_REQUEST)
    assert asked == [Code.CHANGED] * 220
    assert store.reports_received(DEVICE) == 220


def test_when_the_database_s_process_is_gone_nothing_is_acknowledged(store):
    async def story():
        front = Front()
        async with front.handing_over() as batches:
            asked = [front.ask(batches, post(sealed(seq=seq), seq)) for seq in range(3)]
            await asyncio.sleep(0)  # a batch is handed over
            front.theirs.close()
            asked.append(front.ask(batches, post(sealed(seq=3), 3)))
            await asyncio.gather(*asked)
            asked.append(front.ask(batches, post(sealed(seq=4), 4)))
            return codes(await asyncio.gather(*asked)), front.intake.refusals

    answers, refusals = runs(story())
    assert answers == [Code.SERVICE_UNAVAILABLE] * 5
    assert refusals == {"not stored (the database's process has ended)": 5}


def test_a_front_that_is_killed_amid_a_batch_stops_no_other(store):
    async def story():
        killed, front = Front(), Front()
        killed.link.send(b"\0\0\1\0half")
        async with storing_for(Collector(store, KEYS), front, killed) as (batches, _):
            killed.link.close()
            return await front.ask(batches, post(sealed(), 1))

    assert code(runs(story())) is Code.CHANGED


def test_a_mistake_ends_the_database_s_process(store):
    """And all the others: a front would wait for ever."""
    collector = Collector(store, KEYS)
    collector.keep_most = lambda reports: 1 / 0

    async def story():
        front = Front()
        async with front.handing_over() as batches:
            answer = front.ask(batches, post(sealed(), 1))
            with pytest.raises(ZeroDivisionError):
                await store_for(collector, [front.theirs])
            return await answer

    assert code(runs(story())) is Code.SERVICE_UNAVAILABLE


@asynccontextmanager
async def _alone(collector, keep):
    async with writer.writing(collector, keep) as writing:
        await asyncio.sleep(0)
        yield
        await writing.store(int)  # behind the other use of the store


@asynccontextmanager
async def _in_its_process(collector, keep):
    front = Front()
    yield
    front.link.close()
    await store_for(collector, [front.theirs], keep)


@pytest.mark.parametrize("storing", [_alone, _in_its_process])
def test_old_reports_are_reduced_meanwhile(store, storing):
    async def story():
        async with storing(collector, timedelta(days=1)):
            pass

    long_ago = Collector(store, KEYS, lambda: T0)
    for seq in range(3):
        long_ago.coap(post(sealed(seq=seq), seq))
    collector = Collector(store, KEYS)
    store.database.execute("ALTER TABLE day RENAME TO moved")
    runs(story())
    assert (len(store.history(DEVICE)), collector.refusals) == (3, {"not reduced (no such table: day)": 1})
    store.database.execute("ALTER TABLE moved RENAME TO day")
    runs(story())
    assert [received.report.seq for received in store.history(DEVICE)] == [2]
