"""What stands in for a connection on a modem whose sockets we do not know."""

from usageguard.compat import const
from usageguard.modem.connection import OPENING, Connection

_EOPNOTSUPP = const(95)


class GenericConnection(Connection):
    """FAILED with EOPNOTSUPP as soon as it is opened."""

    def _connect(self, host, port):
        pass

    def _run(self):
        while True:
            if self.state == OPENING:
                self.fail(_EOPNOTSUPP)
            yield False
