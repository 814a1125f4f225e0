# type: ignore - MicroPython
"""What `usageguard.hal.esp32` uses of a board's `esp32`: one blank partition, named "ledger"."""

from flash import Flash


class Partition:
    TYPE_DATA = 1
    ledger = Flash(4)

    @staticmethod
    def find(kind, label):
        return [Partition.ledger] if (kind, label) == (Partition.TYPE_DATA, "ledger") else []
