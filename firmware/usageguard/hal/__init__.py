"""The hardware as an object: one class per platform with these methods, in which nothing is decided.

    ticks_ms()                     milliseconds modulo 2**30
    wait(until_ms)                 the only call that blocks: until those ticks, or until the UART has octets
    uart_readinto(buf, n)          octets moved to the start of buf, 0 where there are none
    uart_write(buf, n)             sends buf[0:n]
    flash                          block device of the ledger (MicroPython's protocol, 4096-octet blocks), or None
    files                          whether files outlive a power cut: the ledger lies in two where `flash` is None
    retained_read(buf), retained_write(buf)   RTC memory: survives every reset but power-on
    reset_cause()                  1 power-on, 2 hard, 3 watchdog, 4 deep sleep, 5 soft (machine's constants)
    unique_id(), random(n)         octets
    watchdog_feed(timeout_ms)      starts the watchdog, or feeds it
    set_utc(day, second)           sets the system clock (days since 2000-01-01)
    modem_power(on), reset()
    event(code, a, b), status(text)   to whoever watches: bench, monitor
"""
