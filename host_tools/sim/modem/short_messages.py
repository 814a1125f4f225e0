"""Short messages in PDU and text mode (3GPP TS 27.005)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from host_tools.sim.carrier import Carrier
from host_tools.sim.modem import tpdu
from host_tools.sim.modem.card import CardReader
from host_tools.sim.modem.command import Part, command
from host_tools.sim.modem.errors import AtError, CmsError
from host_tools.sim.modem.nvm import Setting
from host_tools.sim.modem.parser import EXEC, READ, TEST, WRITE
from host_tools.sim.modem.port import PENDING, Port, Reply
from host_tools.sim.modem.radio import Radio
from host_tools.sim.modem.tpdu import SUBMIT, UCS2, Message

UNREAD, READ_, UNSENT, SENT, ALL = range(5)  # <stat>
_STATS = ("REC UNREAD", "REC READ", "STO UNSENT", "STO SENT", "ALL")
_MEMORIES = '"SM","ME"'

Done = Callable[[bytes, bytes], None]  # takes the service centre's address and the TPDU


@dataclass(slots=True)
class Stored:
    """A message in storage; `smsc` is the address octets as a PDU begins with them."""

    stat: int
    smsc: bytes
    tpdu: bytes

    @property
    def pdu(self) -> str:
        return (self.smsc + self.tpdu).hex().upper()


class ShortMessages(Part):
    """Storage, sending and receiving. Messages survive power-downs."""

    settings = (
        Setting("+CMGF", "(0,1)", "0", "TS 27.005 3.2.3", "profile"),
        Setting("+CSMP", "(0-255),(0-255),(0-255),(0-255)", "17,167,0,0", "TS 27.005 3.3.3", "profile"),
        Setting("+CSDH", "(0,1)", "0", "TS 27.005 3.3.4", "profile"),
        Setting("+CNMI", "(0-2),(0-3),(0,2),(0-2),(0,1)", "2,1,0,0,0", "TS 27.005 3.4.1", "profile"),
        Setting("+CMMS", "(0-2)", "0", "TS 27.005 3.5.6"),
        Setting("+CGSMS", "(0-3)", "1", "TS 27.007 10.1.21", "auto"),
    )

    def __init__(self, port: Port, card_reader: CardReader, radio: Radio, carrier: Carrier) -> None:
        super().__init__(port)
        self._card_reader, self._card, self._radio, self._carrier = card_reader, card_reader.card, radio, carrier
        self.ready = False
        self._memories: dict[str, dict[int, Stored]] = {"SM": {}, "ME": {}}
        self._chosen = ["SM", "SM", "SM"]
        self._smsc = card_reader.card.smsc
        self._reference = 0
        self._service = 0

    def start(self) -> None:
        self.ready = False
        self._service = 0
        self.port.after(self.profile.boot.sms_ready_ms, self._make_ready)

    def stop(self) -> None:
        self.ready = False

    @property
    def full(self) -> bool:
        """Whether the memory for received messages has no room."""
        return len(self._memory(2)) >= self.profile.sms.slots

    def _make_ready(self) -> None:
        self.ready = True

    @property
    def _text_mode(self) -> bool:
        return self.port.nvm.values["+CMGF"] == "1"

    def _require(self) -> None:
        """Raises the CmsError of a card that is not ready (TS 27.005 3.2.5)."""
        if not self._card.inserted:
            raise CmsError(310)
        if not self._card_reader.ready:
            raise CmsError(311)
        if not self.ready:
            raise CmsError(314)

    def _memory(self, which: int) -> dict[int, Stored]:
        return self._memories[self._chosen[which]]

    def _number(self, args: tuple[str, ...], at: int, low: int, high: int, default: int | None = None) -> int:
        try:
            return self.port.integer(args, at, low, high, default)
        except AtError:
            raise CmsError(321 if at == 0 else 304) from None

    # --- receiving ---

    def deliver(self, data: bytes) -> bool:
        """An SMS-DELIVER from the network; False when the modem cannot take it, and the network keeps it."""
        port = self.port
        if not self._radio.reachable or not self.ready:
            return False
        mt = int(port.nvm.values["+CNMI"].split(",")[1])
        stored = Stored(UNREAD, _smsc_octets(self._smsc), data)
        if mt == 2:
            length = f",{len(data)}" if not self._text_mode else ""
            try:
                shown = self._show(stored)
            except ValueError:
                return False
            header = "+CMT: " + (f'"{shown[0]}",,"{shown[1]}"' if self._text_mode else length)
            port.push(header, (shown[2] if self._text_mode else stored.pdu).encode("latin-1", "replace"))
            return True
        index = self._store(2, stored)
        if index and mt:
            port.urc(f'+CMTI: "{self._chosen[2]}",{index}')
        return bool(index)

    def _store(self, which: int, stored: Stored) -> int:
        """The slot it went to, or 0 when the memory is full."""
        memory = self._memory(which)
        for index in range(1, self.profile.sms.slots + 1):
            if index not in memory:
                memory[index] = stored
                return index
        return 0

    def _show(self, stored: Stored) -> tuple[str, str, str]:
        """Number, time stamp and text as text mode shows them."""
        message = tpdu.parse(stored.tpdu)
        return self._encode(message.number), message.stamp, self._encode_text(message)

    def _encode(self, text: str) -> str:
        return text.encode("utf-16-be").hex().upper() if "UCS2" in self.port.nvm.values["+CSCS"] else text

    def _encode_text(self, message: Message) -> str:
        charset = self.port.nvm.values["+CSCS"]
        text = message.text()
        if message.alphabet == tpdu.OCTETS or "UCS2" in charset:
            return text if message.alphabet == tpdu.OCTETS else self._encode(text)
        if message.alphabet == UCS2:
            return text.encode("utf-16-be").hex().upper()
        return text

    # --- sending ---

    @command("+CMGS", WRITE, test="", manual="TS 27.005 3.5.1 and 4.3")
    def _send(self, args: tuple[str, ...]) -> Reply:
        return self._compose(args, self._submit)

    @command("+CMGW", WRITE, test="", manual="TS 27.005 3.5.3 and 4.4")
    @command("+CMGW", EXEC)
    def _write(self, args: tuple[str, ...]) -> Reply:
        return self._compose(args or ("",), self._keep)

    def _compose(self, args: tuple[str, ...], done: Done) -> Reply:
        self._require()
        if self._text_mode:
            number = self._decode(args[0])
            return self.port.prompt(lambda data: self._text_given(number, data, done), echo=self._echo)
        length = self._number(args, 0, 7, 232)
        return self.port.prompt(lambda data: self._pdu_given(length, data, done), echo=self._echo)

    @property
    def _echo(self) -> bool:
        return self.port.nvm.values["E"] == "1"

    def _pdu_given(self, length: int, data: bytes | None, done: Done) -> None:
        if data is None:
            self.port.finish()
            return
        try:
            pdu = bytes.fromhex(data.decode("ascii"))
            smsc, unit = pdu[: pdu[0] + 1], pdu[pdu[0] + 1 :]
            tpdu.parse(unit)
        except (ValueError, IndexError):
            raise CmsError(304) from None
        if len(unit) != length or unit[0] & 3 != SUBMIT:
            raise CmsError(304)
        done(smsc, unit)

    def _text_given(self, number: str, data: bytes | None, done: Done) -> None:
        if data is None:
            self.port.finish()
            return
        first, validity, protocol, coding = (int(v or 0) for v in self.port.nvm.values["+CSMP"].split(","))
        message = Message(SUBMIT, number, first, 0, protocol, coding, validity)
        text = data.decode("latin-1").replace("\r\n", "\n")
        try:
            if message.alphabet == UCS2 or "UCS2" in self.port.nvm.values["+CSCS"]:
                octets = bytes.fromhex(text)
                message.data = octets
                if message.alphabet == tpdu.GSM7:
                    message.data = tpdu.to_septets(octets.decode("utf-16-be"))
            elif message.alphabet == tpdu.OCTETS:
                message.data = bytes.fromhex(text)
            else:
                message.data = tpdu.to_septets(text)
            unit = tpdu.submit(message)
        except ValueError:
            raise CmsError(305) from None
        done(b"\0", unit)

    def _decode(self, text: str) -> str:
        if "UCS2" not in self.port.nvm.values["+CSCS"]:
            return text
        try:
            return bytes.fromhex(text).decode("utf-16-be")
        except ValueError:
            raise CmsError(305) from None

    def _submit(self, smsc: bytes, unit: bytes) -> None:
        self.port.after(self.profile.sms.send_ms, self._submitted, smsc, unit)

    def _submitted(self, smsc: bytes, unit: bytes, name: str = "+CMGS") -> None:
        if not self._radio.reachable:
            self.port.fail(CmsError(331))
            return
        if smsc == b"\0" and not self._smsc:
            self.port.fail(CmsError(330))
            return
        reference = self._reference
        self._reference = (reference + 1) % 256
        self.port.log.add("modem", "sms-sent", octets=len(unit))
        # The modem gives the TP-MR, whatever the host wrote there (TS 23.040 9.2.3.6).
        self._carrier.sms_submit(self._card.imsi, unit[:1] + bytes((reference,)) + unit[2:])
        self.port.finish(f"{name}: {reference}")

    def _keep(self, smsc: bytes, unit: bytes) -> None:
        index = self._store(1, Stored(UNSENT, smsc, unit))
        if not index:
            raise CmsError(322)
        self.port.finish(f"+CMGW: {index}")

    @command("+CMSS", WRITE, test="", manual="TS 27.005 3.5.2")
    def _send_stored(self, args: tuple[str, ...]) -> Reply:
        self._require()
        stored = self._stored(args, 1)
        if stored.tpdu[0] & 3 != SUBMIT:
            raise CmsError(302)
        stored.stat = SENT
        self.port.after(self.profile.sms.send_ms, self._submitted, stored.smsc, stored.tpdu, "+CMSS")
        return PENDING

    # --- storage ---

    def _stored(self, args: tuple[str, ...], which: int) -> Stored:
        stored = self._memory(which).get(self._number(args, 0, 0, 255))
        if stored is None:
            raise CmsError(321)
        return stored

    @command("+CMGR", WRITE, test="", manual="TS 27.005 3.4.3 and 4.2")
    def _read(self, args: tuple[str, ...]) -> Reply:
        self._require()
        stored = self._stored(args, 0)
        lines = self._lines("+CMGR: ", stored)
        if stored.stat == UNREAD:
            stored.stat = READ_
        return lines

    @command("+CMGL", TEST)
    def _list_values(self, args: tuple[str, ...]) -> Reply:
        return "+CMGL: " + (",".join(f'"{s}"' for s in _STATS) if self._text_mode else "(0-4)")

    @command("+CMGL", EXEC)
    @command("+CMGL", WRITE, manual="TS 27.005 3.4.2 and 4.1")
    def _list(self, args: tuple[str, ...]) -> Reply:
        self._require()
        if not args:
            wanted = UNREAD
        elif self._text_mode:
            if args[0] not in _STATS:
                raise CmsError(305)
            wanted = _STATS.index(args[0])
        else:
            wanted = self._number(args, 0, 0, 4)
        lines: list[str] = []
        for index, stored in sorted(self._memory(0).items()):
            if wanted in (ALL, stored.stat):
                lines += self._lines(f"+CMGL: {index},", stored)
                if stored.stat == UNREAD:
                    stored.stat = READ_
        return lines or None

    def _lines(self, header: str, stored: Stored) -> list[str]:
        if not self._text_mode:
            return [f"{header}{stored.stat},,{len(stored.tpdu)}", stored.pdu]
        try:
            message = tpdu.parse(stored.tpdu)
        except ValueError:
            raise CmsError(305) from None
        stamp = f',"{message.stamp}"' if message.stamp else ","
        line = f'{header}"{_STATS[stored.stat]}","{self._encode(message.number)}",{stamp}'
        if self.port.nvm.values["+CSDH"] == "1":
            kind = 145 if message.number.startswith("+") else 129
            if header.startswith("+CMGL"):
                line += f",{kind},{len(message.data)}"
            else:
                smsc_kind = 145 if self._smsc.startswith("+") else 129
                line += (
                    f',{kind},{message.first},{message.protocol},{message.coding},"{self._smsc}",{smsc_kind},'
                    f"{len(message.data)}"
                )
        return [line, self._encode_text(message)]

    @command("+CMGD", TEST, manual="TS 27.005 3.5.4")
    def _indexes(self, args: tuple[str, ...]) -> Reply:
        return f"+CMGD: ({','.join(map(str, sorted(self._memory(0))))}),(0-4)"

    @command("+CMGD", WRITE)
    def _delete(self, args: tuple[str, ...]) -> Reply:
        self._require()
        flag = self._number(args, 1, 0, 4, 0)
        memory = self._memory(0)
        if flag == 0:
            index = self._number(args, 0, 0, 255)
            if not 1 <= index <= self.profile.sms.slots:
                raise CmsError(321)
            memory.pop(index, None)
            return None
        gone = {1: (READ_,), 2: (READ_, SENT), 3: (READ_, SENT, UNSENT), 4: (UNREAD, READ_, SENT, UNSENT)}[
            flag
        ]
        for index in [i for i, stored in memory.items() if stored.stat in gone]:
            del memory[index]
        return None

    @command("+CPMS", TEST, manual="TS 27.005 3.2.2")
    def _memories_known(self, args: tuple[str, ...]) -> Reply:
        return f"+CPMS: ({_MEMORIES}),({_MEMORIES}),({_MEMORIES})"

    @command("+CPMS", READ)
    def _memories_chosen(self, args: tuple[str, ...]) -> Reply:
        slots = self.profile.sms.slots
        return "+CPMS: " + ",".join(f'"{name}",{len(self._memories[name])},{slots}' for name in self._chosen)

    @command("+CPMS", WRITE)
    def _choose(self, args: tuple[str, ...]) -> Reply:
        if len(args) > 3 or any(arg and arg not in self._memories for arg in args):
            raise CmsError(304)
        for which, name in enumerate(args):
            if name:
                self._chosen[which] = name
        slots = self.profile.sms.slots
        return "+CPMS: " + ",".join(f"{len(self._memories[name])},{slots}" for name in self._chosen)

    # --- service ---

    @command("+CSCA", READ, test="", manual="TS 27.005 3.3.1")
    def _centre(self, args: tuple[str, ...]) -> Reply:
        self._require()
        return f'+CSCA: "{self._encode(self._smsc)}",{145 if self._smsc.startswith("+") else 129}'

    @command("+CSCA", WRITE)
    def _set_centre(self, args: tuple[str, ...]) -> Reply:
        number = self._decode(args[0])
        if len(args) > 1 and args[1] == "145" and not number.startswith("+"):
            number = "+" + number
        try:
            tpdu.pack_address(number)
        except ValueError:
            raise CmsError(304) from None
        self._smsc = number
        return None

    @command("+CSMS", READ, test="(0,1)", manual="TS 27.005 3.2.1")
    def _service_chosen(self, args: tuple[str, ...]) -> Reply:
        return f"+CSMS: {self._service},1,1,1"

    @command("+CSMS", WRITE)
    def _choose_service(self, args: tuple[str, ...]) -> Reply:
        self._service = self._number(args, 0, 0, 1)
        return "+CSMS: 1,1,1"

    @command("+CNMA", EXEC, test="(0-2)", manual="TS 27.005 3.4.4")
    @command("+CNMA", WRITE)
    def _acknowledge(self, args: tuple[str, ...]) -> Reply:
        return None


def _smsc_octets(number: str) -> bytes:
    """The service centre's address as a PDU begins with it: its length in octets, the type, the digits."""
    address = tpdu.pack_address(number)
    return bytes((len(address) - 1,)) + address[1:]
