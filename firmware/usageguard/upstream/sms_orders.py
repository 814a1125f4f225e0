"""Orders that come by short message (SPEC.md, "Orders by SMS"); loaded where upstream has `sms_orders`."""

from binascii import a2b_base64

from usageguard.core import cbor
from usageguard.core.account.standing import GRANT, NEW_SIM, SET_USED
from usageguard.core.mac import mac0_open

# What depends on the time at which it is carried out: a short message may come days late.
_TIMELY = (GRANT, SET_USED, NEW_SIM)


class SmsOrders:
    """Takes messages from `mailbox`; calls `order(counter, orders, now)` for one with a valid MAC and a counter above
    the last one's. Any other is counted in `mailbox.refused` and changes nothing."""

    def __init__(self, config, hal, ledger, account, mailbox, order):
        self._aad = b"S" + bytes(ledger.life_id) + config.device_id.encode()
        self._key = config.key
        self._hal = hal
        self._account = account
        self._mailbox = mailbox
        self._order = order
        mailbox.take = self.take

    def take(self, octets):
        """Takes the user data of one message: the sealed order, or its base64."""
        try:
            if octets[:1] != b"\x84":  # a COSE_Mac0's
                octets = a2b_base64(octets)
            counter, orders = cbor.decode(mac0_open(self._key, self._aad, octets))
            is_new = counter > self._account.standing.counter and not any(key in orders for key in _TIMELY)
        except (TypeError, ValueError):
            is_new = False
        if is_new:
            self._order(counter, orders, self._hal.ticks_ms())
            return
        self._mailbox.refused += 1
        self._hal.event("sms-refused", self._mailbox.refused)
