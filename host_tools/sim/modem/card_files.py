"""The files of the SIM card: AT+CRSM and AT+CSIM (3GPP TS 27.007 clauses 8.18, 8.17; ETSI TS 102 221; TS 31.102)."""

from __future__ import annotations

from typing import NamedTuple

from host_tools.sim.modem.card import CardReader, SimCard
from host_tools.sim.modem.command import Part, command
from host_tools.sim.modem.parser import WRITE
from host_tools.sim.modem.port import Port, Reply
from host_tools.sim.modem.tpdu import pack_address

READ_BINARY, READ_RECORD, GET_RESPONSE, UPDATE_BINARY, UPDATE_RECORD, STATUS = 176, 178, 192, 214, 220, 242
MF, ADF_USIM = 0x3F00, 0x7FFF
_DIRECTORIES = (MF, ADF_USIM, 0x7F10, 0x7F20)  # ..., DF TELECOM, DF GSM
_USIM_AID = bytes.fromhex("A0000000871002FF86FFFF89")  # TS 101 220 annex E: 3GPP USIM

# Status words, TS 102 221 10.2.1.
DONE = b"\x90\x00"
_WRONG_LENGTH, _NOT_ALLOWED, _NOT_FOUND, _NO_RECORD = b"\x67\x00", b"\x69\x82", b"\x6a\x82", b"\x6a\x83"
_NOTHING_SELECTED, _NO_CHANNEL, _UNKNOWN = b"\x69\x86", b"\x68\x81", b"\x6d\x00"


class _File(NamedTuple):
    """An elementary file: its octets; `record` is the length of a record, 0 for a transparent file."""

    data: bytes
    record: int = 0


def _bcd(digits: str, octets: int) -> bytes:
    """Digits with the nibbles swapped, padded with F."""
    padded = digits.ljust(2 * octets, "F")
    return bytes(int(padded[i + 1] + padded[i], 16) for i in range(0, 2 * octets, 2))


def files(card: SimCard) -> dict[int, _File]:
    """The files that modems and drivers read (TS 102 221 13, TS 31.102 4.2), by identifier."""
    imsi = card.imsi
    mnc = len(card.operator_id) - 3
    number, centre = pack_address(card.msisdn or "0"), pack_address(card.smsc or "0")
    name = b"\xff" * 14
    return {
        0x2FE2: _File(_bcd(card.iccid, 10)),
        0x6F07: _File(b"\x08" + _bcd(f"{'9' if len(imsi) % 2 else '1'}{imsi}", 8)),
        0x6FAD: _File(bytes((0, 0, 0, mnc))),
        0x6F46: _File(b"\x01" + card.operator.encode("ascii", "replace")[:16].ljust(16, b"\xff")),
        0x6F40: _File(name + _dialling(number).ljust(14, b"\xff"), 28),
        0x6F42: _File(name + b"\xfd" + b"\xff" * 12 + _dialling(centre).ljust(12, b"\xff") + b"\0\0\xff", 42),
        0x6F7B: _File(b"\xff" * 12),
        0x6F38: _File(bytes.fromhex("9EEB1F9CF7BE00000000")),
    }


def _dialling(address: bytes) -> bytes:
    """Length in octets, type and digits, from a length in digits (TS 31.102 4.2.26)."""
    return bytes((len(address) - 1,)) + address[1:]


class CardFiles(Part):
    """Reads the card's files; writing one is refused, as a card refuses it without the right."""

    def __init__(self, port: Port, card_reader: CardReader) -> None:
        super().__init__(port)
        self._card = card_reader.card
        self._selected = MF
        self._answer = b""  # for GET RESPONSE

    def start(self) -> None:
        self._selected, self._answer = MF, b""

    @command("+CRSM", WRITE, test="", manual="TS 27.007 8.18", sim=True)
    def _crsm(self, args: tuple[str, ...]) -> Reply:
        integer = self.port.integer
        what = integer(args, 0, 0, 255)
        if what not in (READ_BINARY, READ_RECORD, GET_RESPONSE, UPDATE_BINARY, UPDATE_RECORD, STATUS):
            raise self.port.bad_parameter()
        name = integer(args, 1, 0, 0xFFFF, MF)
        p1, p2, p3 = (integer(args, at, 0, 255, 0) for at in (2, 3, 4))
        if what == GET_RESPONSE:
            data, status = self._control(name)
        elif what == STATUS:
            data, status = self._control(MF)
        else:
            data, status = self._read(name, what, p1, p2, p3)
        text = f',"{data.hex().upper()}"' if data else ""
        return f"+CRSM: {status[0]},{status[1]}{text}"

    @command("+CSIM", WRITE, test="", manual="TS 27.007 8.17", sim=True)
    def _csim(self, args: tuple[str, ...]) -> Reply:
        length = self.port.integer(args, 0, 8, 522)
        try:
            apdu = bytes.fromhex(args[1])
        except (ValueError, IndexError):
            raise self.port.bad_parameter() from None
        if len(args[1]) != length:
            raise self.port.bad_parameter()
        data, status = self._execute(apdu)
        answer = (data + status).hex().upper()
        return f'+CSIM: {len(answer)},"{answer}"'

    def _execute(self, apdu: bytes) -> tuple[bytes, bytes]:
        """A command to the card (TS 102 221 11.1): answer and status word."""
        instruction, p1, p2, p3 = apdu[1:5].ljust(4, b"\0")
        if apdu[0] & 3:
            return b"", _NO_CHANNEL
        if instruction == 0xA4:
            return self._select(p1, apdu[5 : 5 + p3])
        if instruction == 0xC0:
            return self._answer[: p3 or 256], DONE
        if instruction == 0xF2:
            return self._control(MF)[0][: p3 or 256], DONE
        if instruction == 0x70:
            return b"", _NO_CHANNEL
        if instruction in (READ_BINARY, READ_RECORD, UPDATE_BINARY, UPDATE_RECORD):
            if self._selected in _DIRECTORIES:
                return b"", _NOTHING_SELECTED
            return self._read(self._selected, instruction, p1, p2, p3)
        return b"", _UNKNOWN

    def _select(self, p1: int, path: bytes) -> tuple[bytes, bytes]:
        """SELECT by identifier or path: the last one of a path; by name (P1 = 4): the USIM."""
        name = int.from_bytes(path[-2:], "big")
        if p1 == 4:
            name = ADF_USIM if path and _USIM_AID.startswith(path) else 0
        answer, status = self._control(name)
        if status != DONE:
            return b"", status
        self._selected, self._answer = name, answer
        return b"", bytes((0x61, len(answer)))

    def _control(self, name: int) -> tuple[bytes, bytes]:
        """The file's control parameters (TS 102 221 11.1.1.3)."""
        if name in _DIRECTORIES:
            descriptor, size = b"\x82\x02\x78\x21", b""
        else:
            file = files(self._card).get(name)
            if file is None:
                return b"", _NOT_FOUND
            if file.record:
                records = len(file.data) // file.record
                descriptor = b"\x82\x05\x42\x21" + file.record.to_bytes(2, "big") + bytes((records,))
            else:
                descriptor = b"\x82\x02\x41\x21"
            size = b"\x80\x02" + len(file.data).to_bytes(2, "big")
        inner = descriptor + b"\x83\x02" + name.to_bytes(2, "big") + b"\x8a\x01\x05" + size
        return b"\x62" + bytes((len(inner),)) + inner, DONE

    def _read(self, name: int, what: int, p1: int, p2: int, p3: int) -> tuple[bytes, bytes]:
        file = files(self._card).get(name)
        if file is None:
            return b"", _NOT_FOUND
        if what in (UPDATE_BINARY, UPDATE_RECORD):
            return b"", _NOT_ALLOWED
        if (what == READ_RECORD) != bool(file.record):
            return b"", b"\x69\x81"  # command incompatible with file structure
        if what == READ_RECORD:
            begin, length = (p1 - 1) * file.record, file.record
            if not 0 <= begin < len(file.data):
                return b"", _NO_RECORD
        else:
            begin, length = p1 << 8 | p2, p3 or len(file.data) - (p1 << 8 | p2)
        data = file.data[begin : begin + length]
        if len(data) < length or (p3 and p3 != length):
            return b"", _WRONG_LENGTH
        return data, DONE
