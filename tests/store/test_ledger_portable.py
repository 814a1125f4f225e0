"""The ledger on both VMs, over flash in memory; on MicroPython the hot path runs with the heap locked."""

from usageguard.core.crc import crc32_into
from usageguard.core.octets import Octets
from usageguard.store.ledger import Ledger
from usageguard.store.reopen import inherit, reopen
from usageguard.store.ring import get32, put32

from tests.portable import without_heap
from tests.store.memory import Blocks, Hal


def raised(exception, call, *args):
    """The exception that the call raises, or None."""
    try:
        call(*args)
    except exception as e:
        return e
    return None


def boot(blocks, hal):
    ledger = Ledger(hal, blocks)
    ledger.open()
    return ledger


def test_blank_flash():
    blocks = Blocks()
    ledger = boot(blocks, Hal())
    assert blocks.erases == 1, "erased ahead, after the record"
    assert ledger.recovered == "blank", ledger.recovered
    assert ledger.rated.value() == 0, "blank flash, used octets"
    got = (ledger.boot_id, ledger.cycle_id, ledger.lost)
    assert got == (1, 0, False), got


def test_a_life_has_one_id_and_the_next_another():
    blocks, hal = Blocks(), Hal()
    life_id = bytes(boot(blocks, hal).life_id)
    assert len(life_id) == 4, life_id
    hal.random = lambda n: b"next"[:n]
    for n in range(40):  # over sectors that are erased
        ledger = boot(blocks, hal)
        ledger.spend(5000, 5000)
        assert bytes(ledger.life_id) == life_id, n
    blocks.litter(0, len(blocks.cells))
    lost = boot(blocks, hal)
    assert lost.lost, "not lost"
    assert bytes(lost.life_id) == b"next", bytes(lost.life_id)
    assert bytes(Ledger(hal, None).life_id) == bytes(4), "not open yet"
    assert bytes(boot(None, hal).life_id) == b"next", "without flash each boot is a life"


def test_a_record_of_a_firmware_without_life_ids_gets_one():
    blocks, hal = Blocks(), Hal()
    ledger = boot(blocks, hal)
    ledger.life_id[:] = bytes(4)
    ledger.commit()
    again = boot(blocks, hal)
    assert bytes(again.life_id) == b"\x01\x02\x03\x04", bytes(again.life_id)
    hal.random = lambda n: b"next"[:n]
    assert bytes(boot(blocks, hal).life_id) == b"\x01\x02\x03\x04", "and keeps it"


def test_power_loss_charges_the_lease():
    blocks, hal = Blocks(), Hal()
    ledger = boot(blocks, hal)
    ledger.ensure(100, 60)
    ledger.spend(100, 60)
    again = boot(blocks, hal)
    assert again.recovered == "ceiling", again.recovered
    assert again.rated.value() == 1024, again.rated.value()
    assert again.carried.value() == 1024, again.carried.value()
    assert again.charged_rated == 1024, "the bound counts from what the record knew"
    assert again.rated_unsure.value() == 1024, "unsure"
    assert again.boot_id == 2, again.boot_id


def test_no_lease_before_the_first_octet():
    blocks, hal = Blocks(), Hal()
    for n in range(100):
        ledger = boot(blocks, hal)
        assert ledger.rated.value() == 0, n


def test_retained_memory_is_exact():
    blocks, hal = Blocks(), Hal(3)
    ledger = boot(blocks, hal)
    ledger.ensure(1000, 700)
    ledger.spend(300, 200)
    ledger.spend(17, 10)
    again = boot(blocks, hal)
    assert again.recovered == "exact", again.recovered
    got = (again.rated.value(), again.carried.value())
    assert got == (317, 210), got
    assert again.charged_rated == 0, "charged"


def test_retained_memory_is_not_believed_after_power_on():
    blocks, hal = Blocks(), Hal(1)
    ledger = boot(blocks, hal)
    ledger.ensure(1000, 700)
    ledger.spend(317, 210)
    assert boot(blocks, hal).recovered == "ceiling", "power-on"


def test_torn_retained_memory_is_not_believed():
    blocks, hal = Blocks(), Hal(3)
    ledger = boot(blocks, hal)
    ledger.ensure(1000, 700)
    before = bytes(hal.retained)
    ledger.spend(317, 210)
    after = bytes(hal.retained)
    cells = bytes(blocks.cells)
    bits = list(range(24 * 8))
    for torn in [after[:n] + before[n:] for n in range(24) if after[:n] + before[n:] not in (before, after)] + [
        flipped(after, a, b) for a in bits for b in (-1, (a + 1) % 192, (a + 32) % 192, (a + 64) % 192)
    ]:
        blocks.cells[:] = cells
        hal.retained[:] = torn
        again = boot(blocks, hal)
        assert again.recovered == "ceiling", torn
        assert again.rated.value() == 1024, torn


def flipped(octets, *bits):
    """With these bits the other way, -1 for none."""
    octets = bytearray(octets)
    for bit in bits:
        if bit >= 0:
            octets[bit // 8] ^= 1 << bit % 8
    return octets


def test_retained_memory_of_an_older_record_is_not_believed():
    blocks, hal = Blocks(), Hal(3)
    ledger = boot(blocks, hal)
    ledger.ensure(1000, 700)
    old = bytes(hal.retained)
    ledger.spend(900, 600)
    ledger.commit()
    hal.retained[:] = old
    again = boot(blocks, hal)
    assert again.recovered == "ceiling", again.recovered
    assert again.rated.value() == 1024, again.rated.value()


def test_unasked_downlink_is_stored_at_once():
    blocks, hal = Blocks(), Hal()
    ledger = boot(blocks, hal)
    ledger.spend(5000, 4000)
    again = boot(blocks, hal)
    assert again.rated.value() >= 5000, again.rated.value()
    assert again.carried.value() >= 4000, again.carried.value()


def test_carried_octets_may_lead():
    blocks, hal = Blocks(), Hal()
    ledger = boot(blocks, hal)
    ledger.ensure(10, 5000)
    ledger.spend(10, 0)
    assert boot(blocks, hal).carried.value() >= 5000, "not leased"
    blocks, hal = Blocks(), Hal()
    boot(blocks, hal).spend(0, 5000)
    assert boot(blocks, hal).carried.value() >= 5000, "not stored at once"


def test_close_leaves_nothing_leased():
    blocks, hal = Blocks(), Hal()
    ledger = boot(blocks, hal)
    ledger.ensure(1000, 700)
    ledger.spend(317, 210)
    ledger.close()
    again = boot(blocks, hal)
    assert again.recovered == "exact", again.recovered
    assert again.rated.value() == 317, again.rated.value()


def test_leases_double_up_to_their_cap():
    ledger = boot(Blocks(), Hal())
    ledger.set_remaining(64 * 16384)
    seen = []
    for _ in range(8):
        n = ledger._rated.ceil.diff(ledger.rated)
        ledger.spend(n, n)
        ledger.ensure(1, 1)
        seen.append(ledger._rated.ceil.diff(ledger.rated))
    assert seen == [1024, 2048, 4096, 8192, 16384, 16384, 16384, 16384], seen


def test_all_of_the_state_survives():
    blocks, hal = Blocks(), Hal()
    ledger = boot(blocks, hal)
    ledger.ensure(5000, 4000)
    ledger.spend(3000, 2000)
    ledger.within_cycle()
    ledger.spend(500, 400)
    ledger.reasons = 0xA5C3
    ledger.floor_day, ledger.floor_second = 9876, 86399
    ledger.lost = True
    ledger.counter_read(Octets(12345678901))
    ledger.new_cycle(321)
    ledger.commit()
    ledger.warned = 0x81
    ledger.close()
    again = boot(blocks, hal)
    got = (again.cycle_id, again.warned, again.reasons, again.floor_day, again.floor_second, again.lost)
    assert got == (321, 0x81, 0xA5C3, 9876, 86399, True), got
    got = (again.rated_base.value(), again.carried_base.value())
    assert got == (3000, 2000), got
    got = (again.rated.value(), again.carried.value())
    assert got == (3500, 2400), got
    assert again.modem_counter.value() == 12345678901, again.modem_counter.value()


def test_what_was_used_since_the_reading_of_the_counter():
    blocks, hal = Blocks(), Hal(3)
    ledger = boot(blocks, hal)
    ledger.ensure(5000, 4000)
    ledger.spend(3000, 2000)
    ledger.counter_read(Octets(777))
    ledger.commit()
    ledger.spend(100, 50)
    hal.cause = 3
    again = boot(blocks, hal)
    assert (again.lost_rated, again.lost_carried) == (100, 50), "exact recovery"
    hal.cause = 1
    ledger = boot(blocks, hal)
    assert ledger.lost_carried == 50, "the mark outlives a boot without traffic"
    ledger.ensure(10, 10)
    again = boot(blocks, hal)
    assert again.lost_carried == 50 + again.charged_carried, "a lease may have been used since the reading"


def test_a_cycle_id_only_increases():
    ledger = boot(Blocks(), Hal())
    ledger.new_cycle(300)
    ledger.commit()
    for cycle_id in (300, 299):
        error = raised(ValueError, ledger.new_cycle, cycle_id)
        assert error, cycle_id


def used(ledger):
    """Rated octets of the present cycle."""
    return ledger.rated.value() - ledger.rated_base.value()


def spent(blocks, hal):
    """A ledger with 1000 octets used in cycle 300, of which 200 are not for certain, and 50 in cycle 330."""
    ledger = boot(blocks, hal)
    ledger.new_cycle(300)
    ledger.commit()
    ledger.ensure(9000, 9000)
    ledger.spend(800, 700)
    ledger.within_cycle()
    ledger.spend(200, 150)
    ledger.new_cycle(330)
    ledger.commit()
    ledger.spend(50, 40)
    assert used(ledger) == 250, used(ledger)
    return ledger


def test_a_cycle_that_a_wrong_clock_began_is_left_with_all_that_was_used():
    for reboots in (False, True):
        blocks, hal = Blocks(), Hal()
        ledger = spent(blocks, hal)
        reopen(ledger, 300)
        ledger.commit()
        ledger.spend(7, 7)
        if reboots:
            ledger.close()
            ledger = boot(blocks, hal)
        assert (ledger.cycle_id, used(ledger), ledger.lost) == (300, 1057, False), used(ledger)
        assert ledger.carried.value() - ledger.carried_base.value() == 897
        ledger.within_cycle()
        ledger.new_cycle(330)
        ledger.commit()
        assert used(ledger) == 0, "it begins at its time, and is not charged for the one before"


def test_a_cycle_that_was_left_by_mistake_goes_on_with_what_it_had_used():
    blocks, hal = Blocks(), Hal()
    ledger = spent(blocks, hal)
    reopen(ledger, 300)
    ledger.commit()
    ledger.within_cycle()
    ledger.close()
    ledger = boot(blocks, hal)
    ledger.spend(9, 9)
    ledger.new_cycle(330, True)
    ledger.commit()
    assert used(ledger) == 259, used(ledger)
    reopen(ledger, 300)
    ledger.commit()
    assert used(ledger) == 1059, used(ledger)


def test_a_cycle_between_the_two_takes_what_was_used_since_the_first():
    ledger = spent(Blocks(), Hal())
    reopen(ledger, 310)
    ledger.commit()
    assert (ledger.cycle_id, used(ledger), ledger.lost) == (310, 250, False), used(ledger)


def test_a_third_cycle_back_is_a_loss():
    blocks, hal = Blocks(), Hal()
    ledger = spent(blocks, hal)
    ledger.new_cycle(360)
    ledger.commit()
    reopen(ledger, 300)
    ledger.commit()
    assert ledger.lost, "the bases of 300 are gone"
    assert boot(blocks, hal).lost


def test_only_an_earlier_cycle_is_gone_back_to():
    ledger = spent(Blocks(), Hal())
    for cycle_id in (330, 331, 0):
        assert raised(ValueError, reopen, ledger, cycle_id), cycle_id
    assert (ledger.cycle_id, used(ledger)) == (330, 250), used(ledger)


def test_without_flash():
    hal = Hal()
    ledger = Ledger(hal, None)
    ledger.open()
    assert (ledger.backend, ledger.recovered) == ("none", "blank"), ledger.recovered
    ledger.ensure(5000, 4000)
    ledger.spend(7000, 6000)
    ledger.new_cycle(5)
    ledger.commit()
    ledger.tidy()
    ledger.close()
    assert (ledger.rated.value(), ledger.boot_id) == (7000, 0x030201), "RAM only"


def test_a_record_of_a_newer_firmware_is_refused():
    blocks = Blocks()
    boot(blocks, Hal())
    record = bytearray(256)
    blocks.readblocks(0, record, 0)
    record[2] = 2
    put32(record, 4, 9)
    crc32_into(record, 252, record, 252)
    blocks.writeblocks(0, record, 256)
    error = raised(ValueError, boot, blocks, Hal())
    assert "version 2" in str(error), error


def test_rotted_newest_record_costs_what_was_announced():
    for bit in range(0, 1024, 37):
        blocks, hal = Blocks(), Hal()
        ledger = boot(blocks, hal)
        for _ in range(5):
            ledger.ensure(3000, 2000)
            ledger.spend(3000, 2000)
        used = ledger.rated.value()
        newest = 0
        while blocks.cells[(newest + 1) * 256] != 255:
            newest += 1
        blocks.cells[newest * 256 + bit // 8] ^= 1 << bit % 8
        again = boot(blocks, hal)
        assert again.recovered == "ceiling+lease", again.recovered
        assert again.rated.value() >= used, (bit, again.rated.value(), used)
        assert again.rated.value() <= used + 2 * 8192, (bit, again.rated.value(), used)
        assert again.boot_id == 3, "a boot id may have been used in the rotted record"


def test_other_content_is_lost_not_blank():
    blocks = Blocks()
    blocks.litter(5000, 9000)
    hal = Hal()
    ledger = boot(blocks, hal)
    assert ledger.recovered == "lost", ledger.recovered
    assert ledger.lost, "foreign content"
    again = boot(blocks, hal)
    assert (again.lost, again.recovered) == (True, "exact"), "the loss is remembered"
    again.lost = False
    again.commit()
    assert not boot(blocks, hal).lost, "until someone settled it"


def test_first_record_torn():
    blocks = Blocks()
    blocks.litter(0, 60)
    ledger = boot(blocks, Hal())
    assert (ledger.recovered, ledger.lost) == ("ceiling+lease", False), ledger.recovered
    assert ledger.rated.value() == 1024, ledger.rated.value()


def test_a_flash_of_two_sectors_is_refused():
    assert raised(ValueError, Ledger, Hal(), Blocks(2)), "two sectors"


def test_a_broken_flash_fails_closed():
    blocks = Blocks()
    ledger = boot(blocks, Hal())
    blocks.broken = True
    for _ in range(3):
        error = raised(OSError, ledger.ensure, 10, 10)
        assert not ledger.spend(10, 10), "spent without a lease"
        assert error is not None, "a lease that is not on the flash"
        assert error.args[0] == 5, "a lease that is not on the flash"


def test_a_bad_slot_is_passed_over():
    blocks, hal = Blocks(), Hal()
    ledger = boot(blocks, hal)
    blocks.cells[256 + 50] = 0
    ledger.ensure(2000, 2000)
    ledger.spend(2000, 2000)
    again = boot(blocks, hal)
    assert again.recovered == "ceiling", again.recovered
    assert again.rated.value() >= 2000, again.rated.value()


def test_one_record_for_each_lease():
    ledger = boot(Blocks(), Hal())
    ledger.set_remaining(64 * 16384)
    for _ in range(100):  # until leases have their full size
        ledger.ensure(1400, 1400)
        ledger.spend(1400, 1400)
    writes = ledger._ring.writes
    for _ in range(120):
        ledger.ensure(1400, 1400)
        ledger.spend(1400, 1400)
    assert 10 <= ledger._ring.writes - writes <= 12, ledger._ring.writes - writes


def test_a_lease_just_taken_is_known_exactly():
    blocks, hal = Blocks(), Hal(3)
    ledger = boot(blocks, hal)
    ledger.ensure(1000, 700)
    again = boot(blocks, hal)
    assert (again.recovered, again.rated.value()) == ("exact", 0), again.recovered


def test_what_is_leased_stays_leased():
    ledger = boot(Blocks(), Hal())
    ledger.ensure(20000, 20000)
    ledger.spend(19500, 100)
    ledger.ensure(1000, 1000)
    assert ledger._carried.ceil.diff(ledger.carried) >= 19900, "the other figure's lease"


def test_what_is_held_is_leased_when_a_spend_returns():
    blocks, hal = Blocks(), Hal()
    ledger = boot(blocks, hal)
    ledger.held_rated, ledger.held_carried = 700, 3000
    for n in (0, 1, 1400, 30_000, 0, 5, 40_000, 200):
        assert ledger.spend(n, n // 2), n
        cells = bytes(blocks.cells)
        cut = boot(blocks, Hal())
        blocks.cells[:] = cells
        assert cut.rated.value() >= ledger.rated.value() + 700, n
        assert cut.carried.value() >= ledger.carried.value() + 3000, n
    writes = ledger._ring.writes
    assert ledger.spend(1, 1)
    assert ledger._ring.writes == writes, "enough is left"


def test_no_more_is_unsure_than_was_used_in_the_cycle():
    blocks, hal = Blocks(), Hal()
    ledger = boot(blocks, hal)
    ledger.ensure(1000, 1000)
    again = boot(blocks, hal)
    assert again.rated_unsure.value() == 1024, again.rated_unsure.value()
    again.within_cycle()
    again.spend(100, 50)
    again.new_cycle(300)
    again.commit()
    got = (again.rated_unsure.value(), again.carried_unsure.value())
    assert got == (100, 50), got


def test_stored_integers():
    buf = bytearray(6)
    for n in (0, 1, 255, 65536, 0x3FFFFFFF, -1, -256, -65537, -0x3FFFFFFF, -0x40000000):
        put32(buf, 1, n)
        assert get32(buf, 1) == n, n
    assert (buf[0], buf[5]) == (0, 0), "beyond its 4 octets"


def test_hot_path_allocates_nothing():
    """Lease renewals, announced leases, unasked downlink, sector changes, erases."""
    blocks, hal = Blocks(), Hal()
    ledger = boot(blocks, hal)
    ledger.set_remaining(1 << 19)
    packets = 100
    erases = blocks.erases

    def spend():
        for n in range(1, packets + 1):
            ledger.ensure(1400, 1000)
            ledger.spend(1400, 1000)
            ledger.commit()
            if n % 16 == 0:
                ledger.ensure(20000, 9000)
            if n % 25 == 0:
                ledger.spend(300000, 300000)
                ledger.within_cycle()
                ledger.tidy()

    without_heap(spend)
    assert blocks.erases >= erases + 4, "no sector changed"
    expected = 1400 * packets + 300000 * (packets // 25)
    assert ledger.rated.value() == expected, (ledger.rated.value(), expected)
    assert boot(blocks, hal).rated.value() >= expected, "recovered below what was spent"


def test_what_was_committed_outlives_the_rot_of_any_record():
    for back in (1, 2, 3):
        blocks, hal = Blocks(), Hal()
        ledger = boot(blocks, hal)
        ledger.new_cycle(300)
        ledger.commit()
        ledger.orders[0] = 77
        ledger.reasons = 0x820001
        ledger.commit()
        blocks.cells[(ledger._ring._at - back) * 256 + 40] ^= 4
        again = boot(blocks, hal)
        got = (again.cycle_id, again.orders[0], again.reasons)
        assert got == (300, 77, 0x820001), (back, got)


def test_a_loss_outlives_the_rot_of_its_record():
    blocks, hal = Blocks(), Hal()
    blocks.litter(4096, 8192)
    ledger = boot(blocks, hal)
    assert blocks.erases == 1, "what told of it is gone"
    blocks.cells[(ledger._ring._at - 1) * 256 + 40] ^= 4
    assert boot(blocks, hal).lost, "forgotten"


def test_what_retained_memory_told_outlives_the_rot_of_the_boots_record():
    blocks, hal = Blocks(), Hal(3)
    ledger = boot(blocks, hal)
    ledger.ensure(10, 10)
    ledger._extend = lambda n: None  # reset before what came unasked was stored
    ledger.spend(30000, 30000)
    hal.cause = 3
    again = boot(blocks, hal)
    assert (again.recovered, again.rated.value()) == ("exact", 30000), again.rated.value()
    blocks.cells[(again._ring._at - 1) * 256 + 40] ^= 4
    hal.cause = 1
    assert boot(blocks, hal).rated.value() >= 30000, "more was stored than had been announced"


def test_without_a_reading_of_the_counter_nothing_is_known_since_it():
    blocks, hal = Blocks(), Hal()
    for _ in range(2):
        ledger = boot(blocks, hal)
        ledger.ensure(1000, 1000)
        assert (ledger.counter_known, ledger.lost_rated, ledger.lost_carried) == (False, 0, 0)


def test_a_lease_is_given_back_where_it_is_more_than_twice_the_next():
    for octets, left in ((2048, 2048), (2049, 0)):
        ledger = boot(Blocks(), Hal())
        ledger.set_remaining(0)
        ledger.ensure(octets, 10)
        ledger.give_back()
        assert ledger._rated.ceil.diff(ledger.rated) == left, (octets, ledger._rated.ceil.diff(ledger.rated))


def test_a_corrected_figure_is_what_was_used_in_the_cycle():
    ledger = spent(Blocks(), Hal())
    ledger.correct(70)
    assert used(ledger) == 70, used(ledger)
    ledger.spend(5, 5)
    assert used(ledger) == 75, used(ledger)


def test_of_what_is_in_doubt_a_new_cycle_keeps_what_came_after_its_boundary():
    for before, settled, after, left in ((500, 0, 200, 200), (500, 300, 0, 0), (0, 0, 90, 90), (500, 500, 0, 0)):
        ledger = boot(Blocks(), Hal())
        ledger.new_cycle(300)
        ledger.commit()
        ledger.doubt.add(before)
        ledger.within_cycle()
        ledger.doubt.sub(Octets(settled))
        ledger.doubt.add(after)
        ledger.new_cycle(330)
        ledger.commit()
        assert ledger.doubt.value() == left, (before, settled, after, ledger.doubt.value())
        ledger.new_cycle(360)
        ledger.commit()
        assert ledger.doubt.value() == left, "no boundary was seen since"


def test_a_reset_forgets_not_when_all_of_the_doubt_came():
    """Of a mixture no more than what came last may be kept: less counts as used, never too little."""
    for before, after, left in ((0, 200, 200), (500, 0, 0), (500, 200, 0)):
        blocks, hal = Blocks(), Hal()
        ledger = boot(blocks, hal)
        ledger.new_cycle(300)
        ledger.doubt.add(before)
        ledger.within_cycle()
        ledger.doubt.add(after)
        ledger.commit()
        ledger = boot(blocks, hal)
        ledger.new_cycle(330)
        assert ledger.doubt.value() == left, (before, after, ledger.doubt.value())


def test_a_large_surplus_is_stored_whole():
    blocks, hal = Blocks(), Hal()
    ledger = boot(blocks, hal)
    ledger.bound = lambda: (1 << 29) + 77
    ledger.close()
    assert boot(blocks, hal).carried_unsure.value() == (1 << 29) + 77


def test_the_next_cycle_inherits_what_a_changed_plans_present_one_used():
    ledger = spent(Blocks(), Hal())
    ledger.within_cycle()
    inherit(ledger, 330)
    ledger.new_cycle(340)
    ledger.commit()
    assert used(ledger) == 250, used(ledger)
    assert ledger.carried.value() - ledger.carried_base.value() == 190


def test_an_earlier_cycle_of_a_changed_plan_inherits_since_the_one_before_or_all():
    for cycle_id, octets in ((310, 1050), (300, 1050), (299, 1050)):
        ledger = spent(Blocks(), Hal())
        ledger.spend(0, 0)
        inherit(ledger, cycle_id)
        assert (ledger.cycle_id, used(ledger)) == (cycle_id, octets), (cycle_id, used(ledger))
        ledger.new_cycle(335)
        ledger.commit()
        assert used(ledger) == octets, (cycle_id, used(ledger))


def test_after_a_large_step_no_more_is_announced_than_a_lease():
    blocks, hal = Blocks(), Hal(3)
    ledger = boot(blocks, hal)
    ledger.ensure(10, 10)
    ledger.spend(50_000, 50_000)
    ledger._rated.ceil.set(Octets(10))  # as if retained memory told of more than a lease
    ledger.close()
    assert (ledger._announced, ledger._announce) == (ledger._lease, ledger._lease), ledger._announced
