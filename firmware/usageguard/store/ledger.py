"""What was used, kept on flash ahead of use: no power cut, at whatever moment, makes it count too little.

Nothing is spent beyond a ceiling that stands on the flash. The gap between the two is a lease; after a loss
of power the whole of it counts as spent, unless retained memory outlived the reset and says how much of it
was. There are two counts with a ceiling each: rated octets (the plan's) and carried ones. `SPEC.md` gives
every stored octet, under "Ledger record" and "Retained memory".

Should the newest record rot, the one before must tell how far its ceiling may have gone. So each record
announces the most that the next one may add, and a larger step is announced first, in a record of its own.
"""

from array import array
from struct import pack_into, unpack_from

from usageguard.compat import const
from usageguard.core.octets import Octets
from usageguard.store.ring import HEAD, Ring, get32, put32

LEASE_MIN = const(1024)
LEASE_MAX = const(65536)

# Flags, warned, period, boot, what the next record may add, reasons, the floor's day and second (2 octets and 1)
_STATE = "<BBHiiHHHB"
_RATED = const(34)  # where the two figures lie in a record
_CARRIED = const(73)
_REST = const(112)  # short messages, and the upper octet of what the state has the lower ones of: warned, reasons
_LIFE = const(115)
_DOUBT = const(119)
_CYCLE_MARK = const(126)
_ORDERS = const(128)
ORDERS_OCTETS = const(108)
_OTHER = const(236)  # the other cycle: its id, and both bases
_OTHER_OCTETS = const(16)
_LOST = const(1)
_COUNTER = const(2)
_DOUBT_NEW = const(8)  # all of `doubt` came since the last `within_cycle`
_ALLOWANCES = const(4)  # `orders` has allowances, where older firmware kept a fourth pair of `charged`
_ALLOWANCES_AT = const(90)
_RETAINED = const(24)  # the record's sequence, what is left of the two leases; and these three in pairs
_POWER_ON = const(1)
_PIECE = const(1 << 28)
_LO_MAX = const(0xFFFFFF)  # of Octets


_stored = Octets()  # what is being packed


class _Figure:
    """One of the two counts: octets of a lifetime."""

    def __init__(self):
        self.used = Octets()
        self.ceil = Octets()  # of the newest record
        self.target = Octets()  # of the record to be written
        self.base = Octets()  # `used` when the cycle began
        self.next_base = Octets()  # the same of the next cycle, if it began unnoticed
        self.mark = Octets()  # `used` at the reading of the modem's counter
        self.unsure = Octets()  # charged in this cycle without being known to be used

    def hold(self):
        """The record with `target` holds; returns what is left of its lease. HOT."""
        self.ceil.set(self.target)
        return self.ceil.diff(self.used)

    def lease(self, n):
        """Aims at a ceiling of `n` octets ahead, no lower than it is; returns the step up."""
        target = self.target
        target.set(self.used)
        target.add(n)
        if target.less(self.ceil):
            target.set(self.ceil)
        return target.diff(self.ceil)

    def recover(self, lease, left, extra):
        """Sets `used` to the ceiling less `left` octets of its lease (negative: more), plus `extra` that are unsure.

        What of the lease was spent may have been the meter's surplus, which the reset made us forget.
        """
        self.used.set(self.ceil)
        if left > 0:
            self.used.sub(Octets(left))
        self.used.add_octets(Octets(extra + max(0, -left)))
        self.unsure.add_octets(Octets(extra + max(0, lease - left)))

    def begin_cycle(self):
        self.base.set(self.next_base)
        cycle_used = Octets()
        cycle_used.set(self.used)
        cycle_used.sub(self.base)
        if cycle_used.less(self.unsure):
            self.unsure.set(cycle_used)

    def pack(self, buf, at, surplus):
        lease = self.target.diff(self.used)
        self.target.pack_into(buf, at)
        put32(buf, at + 7, max(lease, 0))
        self.base.pack_into(buf, at + 11)
        self.next_base.pack_into(buf, at + 18)
        self.mark.pack_into(buf, at + 25)
        _stored.set(self.unsure)
        while surplus > _PIECE:  # of a modem that does not count, it grows for a whole period
            _stored.add(_PIECE)
            surplus -= _PIECE
        _stored.add(surplus)
        _stored.pack_into(buf, at + 32)

    def unpack(self, buf, at):
        """Returns the lease that stood when the record was written."""
        self.ceil.unpack_from(buf, at)
        self.base.unpack_from(buf, at + 11)
        self.next_base.unpack_from(buf, at + 18)
        self.mark.unpack_from(buf, at + 25)
        self.unsure.unpack_from(buf, at + 32)
        return get32(buf, at + 7)


class Ledger:
    """The counts of one device, on `flash`: a block device as `Ring` needs it, a `FileLog`, or None for RAM only.

    Octets, to be read only, each of them one object for life: `rated`, `carried` (lifetime), `rated_base`,
    `carried_base` (when the cycle began), `rated_unsure`, `carried_unsure` (what recoveries charged to this
    cycle without knowing it used: the ledger's part of the error bound), `modem_counter` (see
    `counter_read`). Free to set: `doubt` (of this cycle's rated octets, those in doubt).

    Free to set as well: `held_rated` and `held_carried`, below 2**29: what stays leased beyond what is counted, from
    the next `spend` on; `bound`, a function: of what was counted, the octets that perhaps were not used.

    Stored with the next record, free to set: `reasons` (24 bits), `warned` (16 bits), `sms` (messages of
    this cycle, 8 bits), `orders` (ORDERS_OCTETS, one object for life: what upstream said), `other` (one object too, of
    store.reopen), `cycle_mark` (16 bits, of guard.periods), `floor_day`, `floor_second` (latest trusted UTC), `lost`
    (see `open`).

    Set by `open`: `life_id` (4 octets, random; the same from the first record on until the flash loses it), `boot_id`,
    `cycle_id` (0: none yet), `recovered`, `charged_rated`, `charged_carried`
    (octets charged at this boot without being known to be used), `lost_rated`, `lost_carried` (used since the
    reading `modem_counter`; 0 where there is none).
    """

    def __init__(self, hal, flash, lease_max=LEASE_MAX):
        """Leases grow up to `lease_max` octets. ValueError for a flash of another shape."""
        self._hal = hal
        self._ring = Ring(flash) if hasattr(flash, "ioctl") else flash
        self._record = self._ring.record if self._ring else None
        self.backend = self._ring.backend if self._ring else "none"
        self._rated = _Figure()
        self._carried = _Figure()
        self.rated = self._rated.used
        self.carried = self._carried.used
        self.rated_base = self._rated.base
        self.carried_base = self._carried.base
        self.rated_unsure = self._rated.unsure
        self.carried_unsure = self._carried.unsure
        self.doubt = Octets()
        self._doubt_before = Octets()  # `doubt` at the last `within_cycle`
        self.modem_counter = Octets()
        self.counter_known = False
        self.cycle_id = self.boot_id = self.cycle_mark = 0
        self.reasons = self.warned = 0
        self.floor_day = self.floor_second = 0
        self.lost = False
        self.recovered = ""
        self.charged_rated = self.charged_carried = 0
        self.lost_rated = self.lost_carried = 0
        self.bound = None
        self.held_rated = self.held_carried = 0
        self.sms = 0
        # Places in the record itself: there they are stored and found again without a copy.
        record = memoryview(self._record or bytearray(256))
        self.orders = record[_ORDERS : _ORDERS + ORDERS_OCTETS]
        self.life_id = record[_LIFE : _LIFE + 4]
        self.other = record[_OTHER : _OTHER + _OTHER_OCTETS]
        self._lease_max = self._lease_cap = lease_max
        self._lease = LEASE_MIN  # the next one
        self._announced = LEASE_MIN  # by the newest record: the most that the next may add to a ceiling
        self._announce = LEASE_MIN  # by the record to be written
        # Retained memory: the sequence, what is left of either lease, below 0 beyond the ceiling, and these in pairs.
        # Storing words is cheaper than packing them.
        self._slot = array("i", (0,) * 6)

    # HOT: from here to "Cold" nothing allocates, but an exception

    def ensure(self, rated_n, carried_n):
        """Has so many octets leased, each 0 <= n < 2**29. OSError if the flash fails: then they may not be
        spent."""
        if self._slot[1] < rated_n or self._slot[2] < carried_n:
            self._extend(max(rated_n, carried_n))

    def spend(self, rated_n, carried_n):
        """Counts octets, each 0 <= n < 2**29. What is to be sent may leave once this has returned: where less than is
        held stays leased, there is a record of more by then. False if the flash fails: counted they are all the same.
        No exception, as a handler would take the stack of each call from the heap."""
        octets = self.rated
        lo = octets.lo + rated_n
        if rated_n >= 0 and lo <= _LO_MAX:  # most spends: no call
            octets.lo = lo
        else:
            octets.add(rated_n)
        octets = self.carried
        lo = octets.lo + carried_n
        if carried_n >= 0 and lo <= _LO_MAX:
            octets.lo = lo
        else:
            octets.add(carried_n)
        # Now what is left of the leases, and that as in `_retain`: another local or call would cost more.
        slot = self._slot
        rated_n = slot[1] - rated_n
        carried_n = slot[2] - carried_n
        slot[1] = rated_n
        slot[2] = carried_n
        lo = slot[0]
        slot[3] = lo ^ rated_n
        slot[4] = rated_n ^ carried_n
        slot[5] = carried_n ^ lo
        if self._ring is not None:
            self._hal.retained_write(slot)
        return (rated_n >= self.held_rated and carried_n >= self.held_carried) or self._renew()

    def _renew(self):
        try:
            self._extend(max(self.held_rated, self.held_carried))
        except OSError:
            return False
        return True

    def within_cycle(self):
        """What was used until now belongs to the present cycle for certain. What is used from now until
        `new_cycle` counts in both."""
        self._rated.next_base.set(self.rated)
        self._carried.next_base.set(self.carried)
        self._doubt_before.set(self.doubt)

    def commit(self):
        """Stores the state, twice: what was committed outlives the rot of any one record. OSError if the flash
        does not hold it."""
        self._hold()
        self._hold()

    def give_back(self):
        """Leases no more than what is held, where far more is leased than the next lease will be: a power cut
        would charge it. OSError if the flash fails."""
        left = max(self._slot[1] - self.held_rated, self._slot[2] - self.held_carried)
        if left > 2 * self._lease_cap:
            self.close()
            self.ensure(self.held_rated, self.held_carried)

    def close(self):
        """Stores the state with nothing leased: before a power-down or a sleep, or when far less is to come."""
        step = max(self.rated.diff(self._rated.ceil), self.carried.diff(self._carried.ceil))
        if step > self._announced:  # retained memory told of more than a lease
            self._announce = step
            self._hold()
            self._announce = self._lease
        self._rated.target.set(self.rated)
        self._carried.target.set(self.carried)
        self._store()

    def tidy(self):
        """Erases flash ahead of need, if that is due: some 50 ms in which a board stands still. See
        `ring`."""
        if self._ring:
            self._ring.tidy()

    def _extend(self, n):
        lease = max(self._lease, n)
        step = self._aim(lease)
        if step > self._announced:
            self._announce = step
            self._hold()
            self._aim(lease)
        self._lease = min(self._lease << 1, self._lease_cap)
        # Whoever needed more than a lease will need it again.
        self._announce = max(self._lease, n)
        self._store()

    def _aim(self, lease):
        """Aims both counts at ceilings `lease` octets ahead; returns the larger step up."""
        return max(self._rated.lease(lease), self._carried.lease(lease))

    def _hold(self):
        """Writes a record with the ceilings as they are."""
        self._rated.target.set(self._rated.ceil)
        self._carried.target.set(self._carried.ceil)
        self._store()

    def _store(self):
        """Writes a record with the ceilings `target`, which hold once it was read back."""
        if self._ring:
            self._pack()
            self._ring.append()
            self._slot[0] = self._ring.sequence
        self._announced = self._announce
        self._retain(self._rated.hold(), self._carried.hold())

    def _pack(self):
        record = self._record
        before = self._doubt_before
        pack_into(
            _STATE,
            record,
            HEAD,
            (_LOST if self.lost else 0)
            | (_COUNTER if self.counter_known else 0)
            | (0 if before.lo or before.hi else _DOUBT_NEW)
            | _ALLOWANCES,
            self.warned & 255,
            self.cycle_id,
            self.boot_id,
            self._announce,
            self.reasons & 0xFFFF,
            self.floor_day,
            self.floor_second & 0xFFFF,
            self.floor_second >> 16,
        )
        pack_into("BBB", record, _REST, self.sms, self.warned >> 8, self.reasons >> 16)
        self.doubt.pack_into(record, _DOUBT)
        pack_into("<H", record, _CYCLE_MARK, self.cycle_mark)
        self.modem_counter.pack_into(record, 27)
        surplus = self.bound() if self.bound else 0
        self._rated.pack(record, _RATED, surplus)
        self._carried.pack(record, _CARRIED, surplus)

    def _retain(self, rated, carried):
        """Notes what is left of the leases, in retained memory too."""
        slot = self._slot
        sequence = slot[0]
        slot[1] = rated
        slot[2] = carried
        slot[3] = sequence ^ rated
        slot[4] = rated ^ carried
        slot[5] = carried ^ sequence
        if self._ring is not None:
            self._hal.retained_write(slot)

    # Cold

    def set_remaining(self, n):
        """Sizes the leases by the `n` octets that remain in the cycle: 1/64 of them, 1 KiB at least."""
        self._lease_cap = min(max(n >> 6, LEASE_MIN), self._lease_max)
        self._lease = min(self._lease, self._lease_cap)

    def counter_read(self, total):
        """The modem's own counter stands at `total` (Octets, both ways), all of which is spent. Stored with
        the next record, so that after a crash the meter can tell from the counter what crossed since."""
        self.modem_counter.set(total)
        self.counter_known = True
        self._rated.mark.set(self.rated)
        self._carried.mark.set(self.carried)

    def correct(self, octets):
        """Sets the rated octets used in this cycle to `octets`, no more than are counted. To be stored.

        What was used since the last `within_cycle` still counts in the next cycle, in which it may have been used.
        """
        self._rated.base.set(self.rated)
        self._rated.base.sub(Octets(octets))

    def new_cycle(self, cycle_id, again=False):
        """Begins a cycle, which the next `commit` stores: the bases become what was used at the last `within_cycle`; or
        with `again` what they were, if this cycle was left by `store.reopen`.

        ValueError if it is not later than the present one."""
        if cycle_id <= self.cycle_id:
            raise ValueError("a cycle id only increases")
        if again:
            from usageguard.store.reopen import resume

            again = resume(self, cycle_id)
        if not again:
            other = self.other
            pack_into("<H", other, 0, self.cycle_id)
            self.rated_base.pack_into(other, 2)
            self.carried_base.pack_into(other, 9)
            self._rated.begin_cycle()
            self._carried.begin_cycle()
            if self.doubt.less(self._doubt_before):
                self._doubt_before.set(self.doubt)
            self.doubt.sub(self._doubt_before)
            self._doubt_before.set(Octets())
        self.start(cycle_id)

    def start(self, cycle_id):
        """The present bases are those of `cycle_id`."""
        self.cycle_id = cycle_id
        self.warned = self.sms = 0

    def open(self):
        """Recovers the state and begins a boot; to be called once, first. ValueError if a newer firmware
        wrote the flash, OSError if it fails. `recovered` becomes

        "blank"          nothing was stored before (or there is no flash)
        "exact"          nothing was leased, or retained memory knew what of it was used
        "ceiling"        the lease was charged
        "ceiling+lease"  so was what the record after the newest valid one may have leased: it was torn, or
        has rotted "lost"           the flash holds something, but no record: the counts began at 0 without
        being new

        `lost` is true from then on, through all boots, until it is set to False: nothing may be spent before
        someone who knows the counts has said so.
        """
        if not self._ring:
            self.recovered = "blank"
            self.begin_anew()
            return
        bad = self._ring.open()
        if self._ring.sequence:
            self._restore(bad)
        elif bad < 0:
            self.lost = True
            self.recovered = "lost"
        else:
            self._charge(0, 0, bad)
            self.recovered = "ceiling+lease" if bad else "blank"
        if not any(self.life_id):
            self.life_id[:] = self._hal.random(4)
        # Each bad slot may have been a boot. An id is never used twice.
        self.boot_id += 1 + max(0, bad)
        if self.lost:
            self.close()  # what told of the loss may be erased next: two records tell of it
        self.close()
        self.tidy()

    def begin_anew(self):
        """Begins a life of this boot alone, after `open` failed. Nothing of before may be bound to the ids."""
        self.boot_id = int.from_bytes(self._hal.random(3), "little")
        self.life_id[:] = self._hal.random(4)
        self.orders[:] = bytes(ORDERS_OCTETS)

    def _restore(self, bad):
        record = self._record
        state = unpack_from(_STATE, record, HEAD)
        flags, warned, self.cycle_id, self.boot_id, self._announce, reasons, self.floor_day, low, high = state
        self.sms, more_warned, more_reasons = unpack_from("BBB", record, _REST)
        self._announced = self._announce
        self.lost = bool(flags & _LOST)
        if not flags & _ALLOWANCES:  # without that pair a figure is charged too high once, never too low
            self.orders[_ALLOWANCES_AT : _ALLOWANCES_AT + 14] = bytes(14)
        self.counter_known = bool(flags & _COUNTER)
        self.warned = warned | more_warned << 8
        self.reasons = reasons | more_reasons << 16
        self.floor_second = low | high << 16
        self.doubt.unpack_from(record, _DOUBT)
        self._doubt_before.set(Octets() if flags & _DOUBT_NEW else self.doubt)
        self.cycle_mark = unpack_from("<H", record, _CYCLE_MARK)[0]
        self.modem_counter.unpack_from(record, 27)
        rated_lease = self._rated.unpack(record, _RATED)
        carried_lease = self._carried.unpack(record, _CARRIED)
        # With the sequence of the newest valid record it says as well that no later one was relied upon. A
        # slot that is torn says nothing: the octets it was to tell of may have arrived.
        retained = bytearray(_RETAINED)
        self._hal.retained_read(retained)
        sequence, rated, carried = unpack_from("<iii", retained)
        whole = unpack_from("<iii", retained, 12) == (sequence ^ rated, rated ^ carried, carried ^ sequence)
        if self._hal.reset_cause() != _POWER_ON and whole and sequence == self._ring.sequence:
            self._rated.recover(rated_lease, rated, 0)
            self._carried.recover(carried_lease, carried, 0)
            self.recovered = "exact"
        else:
            self._charge(rated_lease, carried_lease, bad)
            self.recovered = "ceiling+lease" if bad else "ceiling" if rated_lease or carried_lease else "exact"
        if self.counter_known:
            self.lost_rated = self.rated.diff(self._rated.mark)
            self.lost_carried = self.carried.diff(self._carried.mark)

    def _charge(self, rated_lease, carried_lease, bad):
        """Charges the leases, and what each bad slot may have added to them."""
        self.charged_rated = rated_lease + bad * self._announced
        self.charged_carried = carried_lease + bad * self._announced
        self._rated.recover(rated_lease, rated_lease, self.charged_rated)
        self._carried.recover(carried_lease, carried_lease, self.charged_carried)
