"""What the drivers' scripted dialogues share: a listener that writes down what it hears, time that passes, and what
every dialect has to do, each in its own words.

`opened`, called with `given`, gives a connection that is open, its port and its listener.
"""

from usageguard.modem.connection import ECONNRESET, FAILED, OPEN

from tests.at.port import Port
from tests.portable import without_heap

REQUEST = b"r" * 700
REPLY = b"\r\nOK\r\n" * 50


class Meter:
    open_close = None


class Admission:
    meter = Meter


class Listener:
    admission = Admission

    def __init__(self):
        self.calls = []
        self.octets = self.perhaps = 0

    def opened(self, connection):
        self.calls.append(("opened", connection.index))

    def abandoned(self, connection, octets):
        self.perhaps += octets
        if not octets:
            self.calls.append(("abandoned", connection.index))

    def closed(self, connection):
        self.calls.append(("closed", connection.index))

    def received(self, connection, octets):
        self.octets += octets

    def looked_up(self, name_octets):
        self.calls.append(("looked up", name_octets))

    def counter(self, tx, rx):
        self.calls.append(("counter", tx.value(), rx.value()))

    def refused(self, cme):
        self.calls.append(("refused", cme))

    def served(self):
        self.calls.append(("served",))


class Config:
    apn = "cmiot"
    pin = None
    counter = True
    saving = operator = None


def step(modem, now):
    """The driver's part of a step of the guard."""
    modem.now = now
    modem.channel.pump(now)
    modem.step(now)


def run(modem, port, ms):
    """Steps the driver when it wants to be, for `ms`."""
    end = port.now + ms
    while port.now < end:
        step(modem, port.now)
        wait = 1 if port.readable() else (modem.channel if modem.channel.busy else modem).next_ms(port.now)
        port.now = min(end, port.now + max(wait, 1))
    step(modem, port.now)


def online(driver, answers, config=Config, ms=3000):
    """A driver that has brought a modem up which gives `answers`, its port and its listener."""
    port = Port()
    port.answers = answers
    listener = Listener()
    modem = driver(port, driver.CHANNEL(port), config, listener)
    modem.data_wanted = True
    run(modem, port, ms)
    return modem, port, listener


def opened(driver, answers, tcp=True):
    """A connection that is open, on a port that has nothing to say; with port and listener."""
    modem, port, listener = online(driver, answers)
    connection = modem.free_connection()
    connection.open(tcp, "server.example", 1883)
    run(modem, port, 400)
    assert connection.state == OPEN, connection.state
    port.answers = ()
    port.script = ()
    port.writes = 0
    port.sent()
    return connection, port, listener


def send(connection, data):
    assert connection.tx.write(data, 0, len(data)) == len(data)
    connection.flush(len(data))


def taken(connection):
    """What has arrived."""
    got = bytearray(connection.rx.any())
    connection.rx.readinto(got, len(got))
    return bytes(got)


def check_exchange(opened, script, sent, reply=REPLY, given=()):
    """REQUEST goes out and `reply` comes in, whatever part of a line the port hands over at once."""
    for max_read in (1, 7, 512):
        connection, port, listener = opened(*given)
        port.max_read = max_read
        port.script = script
        send(connection, REQUEST)
        assert connection.tx_busy
        run(connection.modem, port, 2000)
        assert not connection.tx_busy, max_read
        assert (taken(connection), listener.octets) == (reply, len(reply)), max_read
        assert port.sent() == sent, max_read
        assert port.writes == len(script), "the modem is asked no more than it must be"


def check_without_heap(opened, script, octets=300, given=()):
    """The exchange of REQUEST and an answer of so many octets allocates nothing, twice."""
    connection, port, listener = opened(*given)
    modem = connection.modem
    waste = bytearray(octets)
    port.script = script

    def exchange():
        now = port.now
        port.writes = 0
        connection.tx.write(REQUEST, 0, len(REQUEST))
        connection.flush(len(REQUEST))
        for _ in range(500):
            step(modem, now)
            modem.next_ms(now)
            now += 10
        port.now = now

    def twice():
        exchange()
        connection.rx.readinto(waste, octets)
        exchange()

    without_heap(twice)
    assert (connection.rx.any(), connection.tx_busy, listener.octets) == (octets, False, 2 * octets)
    assert port.writes == len(script)


def check_counter_without_heap(opened, answer, tx, rx):
    """Its figures are beyond the small ints of an ESP32."""
    connection, port, listener = opened()
    modem = connection.modem
    seen = [0] * 4

    def counter(tx, rx):
        seen[0] = tx.hi
        seen[1] = tx.lo
        seen[2] = rx.hi
        seen[3] = rx.lo

    listener.counter = counter
    port.script = (answer,)

    def read():
        modem.read_counter()
        for now in range(port.now, port.now + 100):
            step(modem, now)

    without_heap(read)
    assert (seen[0] << 24 | seen[1], seen[2] << 24 | seen[3]) == (tx, rx)


def check_damage(opened, told, answers):
    """A read that is answered so, after `told`, fails the connection: the stream has octets too many or too few."""
    for answer in answers:
        connection, port, _ = opened()
        port.script = (answer,)
        port.say(told)
        run(connection.modem, port, 100)
        assert (connection.state, connection.errno) == (FAILED, ECONNRESET), answer


def check_unknown_total(opened):
    """A total that does not come at a close is charged as what the modem may hold."""
    connection, port, listener = opened()
    connection.close()
    run(connection.modem, port, 20_000)
    assert listener.calls.count(("abandoned", 0)) == 1


def check_reboot(opened, answers, lines):
    """Each of `lines` says that the modem starts again: that ends every connection, and it is brought up."""
    for line in lines:
        connection, port, listener = opened()
        port.answers = answers
        port.say(b"\r\n" + line + b"\r\n")
        run(connection.modem, port, 5)
        assert (connection.state, connection.errno) == (FAILED, ECONNRESET), line
        assert ("abandoned", 0) in listener.calls, line
        run(connection.modem, port, 5000)
        assert connection.modem.online, line
        assert connection.modem.restarts == 1, line


def count_unread(connection, port):
    """What the driver does before it closes a connection, alone."""
    for _ in connection.count_unread():
        while connection.modem.channel.busy:
            port.now += 1
            connection.modem.channel.pump(port.now)
