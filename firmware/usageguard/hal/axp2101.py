"""The power management chip AXP2101 in front of a modem, as on LilyGO's T-SIM7080G-S3: DC3 feeds the modem, BLDO1 the
level shifters of its serial line. Not yet run on hardware.

Registers: X-Powers AXP2101 data sheet V1.0, chapter 6. All others stay as they are: DC1 feeds the ESP32.
"""

from usageguard.compat import const

_ADDRESS = const(0x34)
_DC_PROTECTION = const(0x23)  # bit n: an undervoltage of DC n + 1 switches the whole chip off
_DC_ON = const(0x80)  # bit n: DC n + 1
_DC3_VOLTAGE = const(0x84)  # bits 6 to 0: from 88 on 1.6 V and steps of 100 mV, up to 3.4 V
_LDO_ON = const(0x90)
_BLDO1_VOLTAGE = const(0x96)  # bits 4 to 0: 0.5 V and steps of 100 mV, up to 3.5 V
_DC3 = const(0x04)
_BLDO1 = const(0x10)


def switch(i2c, dc3_mv, bldo1_mv, on):
    """Sets up both and switches the modem's supply on, or off; the level shifters stay on. OSError if nothing answers.

    `dc3_mv`: 1,600 to 3,400; `bldo1_mv`: 500 to 3,500; both in steps of 100.
    """
    if not on:
        _change(i2c, _DC_ON, _DC3, 0)
        return
    _change(i2c, _BLDO1_VOLTAGE, 0x1F, (bldo1_mv - 500) // 100)
    _change(i2c, _LDO_ON, _BLDO1, _BLDO1)
    _change(i2c, _DC3_VOLTAGE, 0x7F, 88 + (dc3_mv - 1_600) // 100)
    # A modem that registers draws so much that DC3 dips: users saw the board go off with it.
    _change(i2c, _DC_PROTECTION, _DC3, 0)
    _change(i2c, _DC_ON, _DC3, _DC3)


def _change(i2c, register, mask, bits):
    """Gives the bits of `mask` the value `bits`; the others stay."""
    old = i2c.readfrom_mem(_ADDRESS, register, 1)[0]
    new = old & ~mask | bits
    if new != old:
        i2c.writeto_mem(_ADDRESS, register, bytes((new,)))
