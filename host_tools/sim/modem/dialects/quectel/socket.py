"""What a socket of Quectel's has beside the octets."""

from __future__ import annotations

from host_tools.sim.modem.data import Context
from host_tools.sim.modem.sockets import Socket, State

STATES = {State.FAILED: 0, State.OPENING: 1, State.CONNECTED: 2, State.CLOSING: 4}  # <socket_state>
LISTENING = 3
LISTENER = "TCP LISTENER"
BUFFER, PUSH, TRANSPARENT = range(3)  # <access_mode>


class QuectelSocket(Socket):
    """One <connectID>, of the <service_type> `kind`."""

    def __init__(self, number: int, kind: str, context: Context, mode: int, local_port: int) -> None:
        tcp, any_peer = kind in ("TCP", LISTENER), kind == "UDP SERVICE"
        super().__init__(number, context, tcp=tcp, local_port=local_port, any_peer=any_peer)
        self.kind, self.mode = kind, mode
        self.ended = False  # by the peer, which is told behind the payload that is pushed
        self.signalled = False  # "recv" was reported and the buffer not drained since
