"""What the drivers' scripted dialogues share: a listener that writes down what it hears, and time that passes."""

from usageguard.modem.connection import OPEN

from tests.at.port import Port


class Listener:
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


def run(modem, port, ms):
    """Steps the driver when it wants to be, for `ms`."""
    end = port.now + ms
    while port.now < end:
        modem.step(port.now)
        wait = 1 if port.readable() else (modem.channel if modem.channel.busy else modem).next_ms(port.now)
        port.now = min(end, port.now + max(wait, 1))
    modem.step(port.now)


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
