"""Feeds a digest a stream in pieces and writes down what it makes of it."""

from usageguard.at.digest import ECHO, FINAL, INFO, NEED, OVERLONG, PAYLOAD, PROMPT, URC, Digest

MAX_LINE = 40
URCS = (b'+QIURC: "recv"', b"+CEREG:", b"RDY")


def digest():
    """One with a few unsolicited codes, each its own token."""
    made = Digest(MAX_LINE)
    for prefix in URCS:
        made.register(prefix, prefix)
    return made


def arm(made, expect=None, prompt=0, payload_max=0, count=0, lead=None):
    made.arm((b"", 0, expect, prompt, count, lead), payload_max)


def take(made, stream, size, events):
    """Feeds `stream` in windows of `size` octets (or of sizes used in turn, in a list), appends to `events`.

    Neighbouring chunks of payload are joined: how many there are is all that may depend on the windows.
    """
    sizes = [size] if isinstance(size, int) else size
    at = turn = 0
    while at < len(stream):
        n = min(sizes[turn % len(sizes)], len(stream) - at)
        turn += 1
        window = bytearray(stream[at : at + n])
        at += n
        made.feed(window, n)
        for event in made.found:
            if event == NEED:
                break
            line = bytes(made.line[: made.length])
            if event == PAYLOAD:
                data = bytes(window[made.at : made.at + made.span])
                if events and events[-1][0] == PAYLOAD:
                    data = events.pop()[1] + data
                events.append((PAYLOAD, data, made.payload_left))
            elif event == FINAL:
                final = [FINAL, made.result, made.error]
                if made.torn:
                    final.append(True)
                events.append(tuple(final))
            elif event == URC:
                events.append((URC, made.token, line))
            elif event == INFO:
                events.append((INFO, made.expected, line))
            else:
                assert event in (PROMPT, OVERLONG, ECHO), event
                events.append((event, line if event == ECHO else b""))
    return events


def once(stream, size, expect=None, prompt=0, payload_max=0, count=0, lead=None, armed=True):
    """The events of a fresh digest."""
    made = digest()
    if armed:
        arm(made, expect, prompt, payload_max, count, lead)
    return take(made, stream, size, [])
