"""After ten minutes, says why the device is offline: an event for each verdict."""


def main(guard):
    guard.sleep(600_000)
    verdicts = guard.diagnose()
    for verdict in verdicts:
        guard.hal.event("diagnosis", verdict.code, len(verdict.others))
        print(verdict, verdict.remedy, verdict.retry, verdict.retry_s, verdict.octets)
    guard.hal.event("diagnosed", len(verdicts), 0)
    guard.sleep(1 << 28)
