"""What `usageguard.config` makes of a configuration, as values: they outlive the validator, which a boot lets go."""


class Modem:
    """`family` names the driver; `counter`: whether the modem's own data counter is used; `pin` or None."""

    def __init__(self, family, apn, counter, pin):
        self.family = family
        self.apn = apn
        self.counter = counter
        self.pin = pin


class Upstream:
    """Where reports go. Without `host` none go by CoAP, without `sms_number` none by SMS (both None)."""

    def __init__(self, host, port, interval_s, sms_number, max_sms_per_cycle):
        self.host = host
        self.port = port
        self.interval_s = interval_s
        self.sms_number = sms_number
        self.max_sms_per_cycle = max_sms_per_cycle


class Config:
    """A checked configuration: `device_id` (str), `key` (32 octets), `plan`, `classes` (tuple; the first is
    the default), `modem`, `upstream`, `enforcement` (one of ENFORCEMENTS)."""

    def __init__(self, device_id, key, plan, classes, modem, upstream, enforcement):
        self.device_id = device_id
        self.key = key
        self.plan = plan
        self.classes = classes
        self.modem = modem
        self.upstream = upstream
        self.enforcement = enforcement
