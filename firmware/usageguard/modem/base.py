"""What all modem drivers share: whose turn it is, what is known of the modem, its unsolicited codes.

A driver is one long-lived generator for the modem and one per connection. Each yields True when it has
started a command, and is resumed with its result; it yields False when it has nothing to do now. So nobody
queues for the channel and no generator waits. `step` allocates nothing as long as only open connections have
something to do.
"""

import gc

from usageguard.at.channel import Channel
from usageguard.at.digest import ABORTED, OK, int_field, text_field
from usageguard.compat import const
from usageguard.modem.connection import CLOSING, ECONNRESET, FREE, TX_OCTETS, Connection, Deadline
from usageguard.modem.names import Names

CONNECTIONS = const(4)

# `Modem.state`
OFF = const(0)
BOOTING = const(1)
NO_SIM = const(2)  # or a SIM that wants a PIN: see sim_state
SEARCHING = const(3)
REGISTERED = const(4)  # no data session: none wanted, or refused
ONLINE = const(5)
STATES = ("off", "booting", "no-sim", "searching", "registered", "online")

SWITCHED_OFF = const(2)  # of `Modem.rested`: the modem was switched off for it, and has had the time to go off

_NAME_S = const(3_600)  # of an address for which the modem tells no TTL
SILENT = const(3)  # command time-outs in a row after which the modem counts as hung


class GoneError(Exception):
    """Inside the main generator: the modem rebooted, or has to."""


class Modem:
    """One modem on `channel`. `config`: apn, pin, counter.

    Set `data_wanted`; read the rest.

    `listener` is called: opened(connection), closed(connection), received(connection, octets) as payload arrives (HOT),
    abandoned(connection, octets) when so much payload may have arrived unseen (0: a window's), looked_up(name_octets)
    after a name was looked up on the air, counter(tx, rx) with two `Octets` that it must copy, refused(cme), served().
    """

    CONNECTION = Connection  # the family's, of connections
    CHANNEL = Channel  # what the family's dialogue needs: at.push has another
    # Connections in a row that were not answered; -1: not counted, as reports show whether the data session is of use.
    # Settable to 0.
    unanswered = -1
    older = None  # whether it is registered by +CGREG, with GSM or UMTS alone; None: it never was

    def __init__(self, hal, channel, config, listener):
        self.hal = hal
        self.channel = channel
        self.config = config
        self.listener = listener
        self.now = 0
        self.state = OFF
        self.online = False
        self.data_wanted = False
        self.paused = False
        self.poked = False  # something was asked for since the last step
        self.counter_epoch = 0  # changes when the modem may have lost what it counted
        self.found_on = False  # the modem outlived our last reset, and its data session proves it
        # Settable: the last reset was a deep sleep, with nothing open but the data session, or SWITCHED_OFF.
        self.rested = False
        self.kept = False  # that session goes on
        # Evidence, for diagnosis. -1 and b"": not known
        self.sim_state = b""  # what +CPIN said: b"READY", b"SIM PIN", b"NOT INSERTED", ...
        self.sim_error = 0  # the CME code of +CPIN?
        self.registration = -1  # <stat> of +CEREG, or of +CGREG where only that is registered
        self.covered = True  # as far as that tells: what is sent leaves the modem
        self.reject_cause = 0  # EMM cause of a denied registration
        self.signal = -1  # <rssi> of +CSQ, 99: none
        self.rsrp = -1  # +CESQ: -140 dBm + n, 255: none
        self.rsrq = -1  # +CESQ: -20 dB + n/2, 255: none
        self.cme = 0  # of the last refused data session
        self.ceer = b""
        self.cgev = b""
        self.imei = b""
        self.imsi = b""
        self.iccid = b""
        self.restarts = 0  # of the modem, seen or made
        self.power_cycles = 0
        # Network time, UTC; `time_reading` counts the readings
        self.time_reading = 0
        self.time_day = 0
        self.time_second = 0
        self.messenger = None  # modem.sms, where short messages are wanted
        self.names = Names()
        self.segment = bytearray(TX_OCTETS)
        self.segment_owner = None
        self._synced = False  # it answered since its last boot
        self._settled = False  # its boot messages are over
        self._rebooted = False
        self._data_was_wanted = False
        self._context_lost = False
        self._context_doubted = False
        self.counter_wanted = False
        self._pause = Deadline()
        self._deadlines = Deadline(), Deadline(), Deadline(), Deadline(), Deadline()
        self._sim_due, self._registration_due, self._stuck_due, self.retry_due, self._evidence_due = self._deadlines
        self.connections = [self.CONNECTION(self, index) for index in range(CONNECTIONS)]
        self._tasks = [self._run()] + [connection._run() for connection in self.connections]
        self._turn = 0
        self._holder = None
        channel.on_urc(b"RDY", self._on_ready)
        channel.on_urc(b"+CFUN:", self._on_function)
        channel.on_urc(b"POWERED DOWN", self._on_ready)
        channel.on_urc(b"+CPIN:", self._on_pin)
        channel.on_urc(b"+CEREG:", self._on_registration)
        channel.on_urc(b"+CGEV:", self._on_packet_event)

    # What the rest of the house calls

    def step(self, now):
        """Starts what can be started, after `channel.pump` has taken what arrived; never waits. HOT."""
        self.now = now
        self.poked = False
        self._data_was_wanted = self.data_wanted
        if self.channel.busy:
            return
        try:
            self._resume()
        except MemoryError:
            self._restart()
        except StopIteration:  # a generator that raised has ended
            self._restart()

    def _resume(self):
        """Gives each generator its turn, until one has started a command. HOT."""
        channel = self.channel
        if self._holder is not None:
            if next(self._holder):
                return
            self._holder = None
        turns = len(self._tasks)
        if channel.timeouts:  # first the main generator, which finds out whether the modem is still there
            self._turn = turns - 1
        for _ in range(turns):
            self._turn = (self._turn + 1) % turns
            task = self._tasks[self._turn]
            if next(task):
                self._holder = task
                return

    def _restart(self):
        """Begins all generators again after one has found no memory, as if the modem had rebooted: what its connections
        may have held is charged. MemoryError if there is still none; the next step tries again."""
        gc.collect()
        self.hal.event("driver-restart", self._turn)
        self._holder = None
        self.channel.abort()
        self._gone()
        self._tasks = [self._run()] + [connection._run() for connection in self.connections]

    def next_ms(self, now):
        """Milliseconds until `step` has something to do without input from the modem; 0: now. HOT."""
        ms = self.channel.next_ms(now)
        if self.channel.busy:
            return ms
        if self.poked or self.data_wanted != self._data_was_wanted:
            return 0
        if self._pause.armed:
            return min(ms, self._pause.left(now))
        for each in self._deadlines:
            if each.armed and each.left(now) < ms:
                ms = each.left(now)
        for each in self.connections:
            if each.state != FREE and each.next_ms(now) < ms:
                ms = each.next_ms(now)
        return ms

    def free_connection(self, first=0):
        """A connection from number `first` on that can be opened, or None."""
        for connection in self.connections[first:]:
            if connection.state == FREE:
                return connection
        return None

    def name_octets(self, host):
        """The length of `host` if a connection to it begins with a lookup, else 0."""
        return 0 if self.names.address(host, self.now) else len(host)

    def name_found(self, address, ttl_s=_NAME_S):
        """The answer to a lookup, as bytes, and seconds for which it holds; b"": no such name."""
        names = self.names
        if names.pending is not None:
            if address:
                self.listener.looked_up(len(names.pending))
            names.answered(address.decode() if address else None, ttl_s, self.now)

    def closing(self):
        """Whether a connection will be free soon."""
        return any(connection.state == CLOSING for connection in self.connections)

    def pause(self, on):
        """Holds back what applications send and read (Connection.held_up), or lets it go on."""
        self.paused = on
        self.poked = True

    def read_counter(self):
        """Asks for a reading of the modem's data counter; it comes through listener.counter()."""
        self.counter_wanted = True
        self.poked = True

    @property
    def registered(self):
        return self.registration in (1, 5)

    def evidence(self):
        """What tells of a fault from afar, as in a report: (registration, reject_cause, cme, rsrp, rsrq, restarts)."""
        return self.registration, self.reject_cause, self.cme, self.rsrp, self.rsrq, self.restarts

    # What a driver provides

    def _run(self):
        """The main generator."""
        raise NotImplementedError

    def _gone(self):
        """Forgets the modem's connections, its data session and its settings."""
        raise NotImplementedError

    # Tools of the modem's generators

    def ask(self, command, data=b""):
        """Generator: one command, and what its prompt asks for; returns its result. GoneError when the modem is not
        what it was."""
        self.channel.start(command, None, data, len(data))
        yield True
        self._answered()
        return self.channel.result

    def _answered(self):
        """After a command: GoneError when the modem is not what it was."""
        if self.channel.result == ABORTED or self._rebooted or self.channel.timeouts >= SILENT:
            raise GoneError

    def _info(self, command):
        """Generator: the first field of a command's information as bytes; b"" if it failed."""
        if (yield from self.ask(command)) != OK or not self.channel.info_length:
            return b""
        return text_field(self.channel.info, self.channel.info_length, 0)

    def _sleep(self, ms):
        self._pause.set(self.now, ms)
        while not self._pause.due(self.now):
            if self._rebooted:
                raise GoneError
            yield False
        self._pause.clear()

    def _network_time(self, day, second):
        self.time_day = day
        self.time_second = second
        self.time_reading += 1

    def _drop(self, errno, unseen=False):
        """The data session is gone, and every connection with it; `unseen`: and what they held was not counted."""
        self.online = False
        self._context_lost = self._context_doubted = False
        self.names.forget()
        for connection in self.connections:
            connection.lost(errno, unseen)

    # Unsolicited codes

    def _on_ready(self, line, length):
        if self._synced:
            self._rebooted = True
            self._drop(ECONNRESET, True)
            self.channel.abort()

    def _on_function(self, line, length):
        """A line that may come when the modem answers already; later it means a reboot whose RDY was lost."""
        if self._settled:
            self._on_ready(line, length)

    def _on_pin(self, line, length):
        """The SIM became ready, or stopped being so; also the answer to AT+CPIN?."""
        self.sim_state = text_field(line, length, 0)
        if self.state > BOOTING and (self.sim_state == b"READY") == (self.state == NO_SIM):
            self._sim_due.set(self.now, 0)

    def _on_registration(self, line, length):
        """+CEREG: <stat>[,"tac",...] unsolicited, +CEREG: <n>,<stat>[,...] as an answer."""
        was = self.registered
        at = 0 if int_field(line, length, 1) < 0 else 1
        if self.older:
            if int_field(line, length, at) not in (1, 5):
                return
            self.older = False
        self.registration = int_field(line, length, at)
        self.covered = self.registered
        self.reject_cause = max(int_field(line, length, at + 5), 0)
        if self.state > NO_SIM and self.registered != was:
            self._registration_due.set(self.now, 0)

    def _on_packet_event(self, line, length):
        """+CGEV: NW DEACT, NW PDN DEACT <cid>, NW DETACH: the network ended the session, and says not why."""
        self.cgev = bytes(line[7:length])
        if self.cgev.startswith(b"NW D") or self.cgev.startswith(b"NW PDN DEACT 1"):
            self._lose_context()

    def renew_session(self):
        """Has the data session ended and another one asked for: nothing gets through it."""
        self.hal.event("session-renewed")
        self._lose_context()
        self.poked = True

    def doubt_context(self):
        """Has the data session looked at: something failed as if its end had gone unheard."""
        self._context_doubted = True

    def _lose_context(self, *_):
        if self.online:
            self.online = False
            self._context_lost = True
            for connection in self.connections:
                connection.fail(ECONNRESET)
