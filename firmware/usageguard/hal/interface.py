"""What the firmware needs of a platform. Nothing is decided behind it.

No module imports this file, so it takes no heap. A test compares the platforms' methods with it.
"""


class Hal:
    """The hardware of one device. `esp32.Hal` is that of a board, `host.HostHal` that of the simulator.

    SLICE_MS   the longest that the guard's asyncio task may sleep, in milliseconds
    flash      block device for the ledger by MicroPython's protocol, in blocks of 4096 octets; None where there is none
    reserve    native memory for TLS with `lend()`, `take()` and `state`, as firmware/reserve.py; may be missing or None
    flow_control  whether the line to the modem has RTS and CTS: what nobody reads stays in the modem
    deaf       settable: `wait` goes on although the UART has something, which nobody wants now
    files      whether files survive a power cut: without `flash` the ledger is then stored in two of them
    """

    SLICE_MS = 20
    flash = None
    files = flow_control = deaf = False

    def ticks_ms(self):
        """Milliseconds since some instant, modulo 2**30; `core.ticks` adds and compares them. Allocates nothing."""
        raise NotImplementedError

    def wait(self, until_ms):
        """Returns at ticks `until_ms`, or as soon as the UART has something to read. The only method that blocks.

        `until_ms` is less than 2**29 ms ahead; one that has passed returns at once. Allocates nothing.
        """
        raise NotImplementedError

    def uart_readinto(self, buf, n):
        """Moves up to `n` octets that have arrived to the start of `buf`; returns how many, 0 for none. Allocates
        nothing."""
        raise NotImplementedError

    def uart_write(self, buf, n):
        """Sends the first `n` octets of `buf`, 0..4096. Allocates nothing."""
        raise NotImplementedError

    def uart_rate(self, baud):
        """Sets the UART to `baud`, 0 for the board's own rate; returns the board's own."""
        raise NotImplementedError

    def retained_read(self, buf):
        """Fills `buf` from the memory that survives every reset but power-on; from its first octet on, 24 or more."""
        raise NotImplementedError

    def retained_write(self, buf):
        """Stores `buf`, octets or an array of 32-bit words, 2048 octets at the most, in place of all that it held. A
        reset in the middle may leave part of it."""
        raise NotImplementedError

    def reset_cause(self):
        """1 power-on, 2 hard reset, 3 watchdog, 4 deep sleep, 5 soft reset: the constants of `machine` on an ESP32."""
        raise NotImplementedError

    def unique_id(self):
        """The chip's identity: 6 octets or more."""
        raise NotImplementedError

    def random(self, n):
        """`n` random octets, fit for nonces."""
        raise NotImplementedError

    def watchdog_feed(self, timeout_ms):
        """Starts the watchdog at the first call, then restarts its time. It resets the device `timeout_ms` after the
        last call."""
        raise NotImplementedError

    def set_utc(self, day, second):
        """Sets the system clock: days since 2000-01-01, and seconds of that day, 0..86399."""
        raise NotImplementedError

    def modem_power(self, on):
        """Returns an iterable that switches the modem on or off as it is iterated over: its items are milliseconds to
        wait before the next item is taken. Empty where one step is enough."""
        raise NotImplementedError

    def modem_dtr(self):
        """`dtr(on)`, which gives the modem its DTR or takes it away and allocates nothing; None where the board has no
        pin for it. The modem has it from the boot on."""
        raise NotImplementedError

    def rtc_s(self):
        """Seconds, modulo 2**30, of the clock that goes on in a deep sleep, some percent too fast or too slow."""
        raise NotImplementedError

    def deep_sleep(self, ms):
        """Switches the chip off but for what wakes it: `ms` from now, or with 0 only a pin. It then boots with that
        reset cause. The modem's supply stays as it is. Does not return."""
        raise NotImplementedError

    def ppp(self):
        """lwIP, for PPP as the bearer: `ppp`, a `network.PPP`; `uart`, its stream; the modules `socket` and `select`;
        `listen(handler)` has handler(uart) called when the UART has received something and fallen idle, also while the
        program computes, until the next `ppp.config(stream=...)`; `watch(socket, events)` has `wait` return too when
        one of the socket's `events` (POLLIN 1, POLLOUT 4) is there, 0: no more. RuntimeError, in one line, where
        MicroPython has no such PPP."""
        raise NotImplementedError

    def reset(self):
        """Resets the device; does not return."""
        raise NotImplementedError

    def event(self, code, a=0, b=0):
        """Reports an event to the console or the simulator: an ASCII code and two integers of 32 bits."""
        raise NotImplementedError

    def status(self, text):
        """Reports the guard's status to the console or the simulator: JSON in ASCII, below 64 KiB."""
        raise NotImplementedError
