"""What `usageguard.hal.esp32` uses of a board's `esp32`: one blank partition, named "ledger"."""

from tests.store.memory import Blocks


class Partition:
    TYPE_DATA = 1
    ledger = Blocks(4)

    @staticmethod
    def find(kind, label):
        return [Partition.ledger] if (kind, label) == (Partition.TYPE_DATA, "ledger") else []
