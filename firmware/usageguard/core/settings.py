"""The result of `usageguard.config.load`: a checked configuration. Kept in memory when the validator is not."""


class ModemSettings:
    """`family` names the driver; `counter`: whether the modem's own data counter is used; `pin` may be None; `any_sim`:
    whether another SIM is counted on with, and stops nothing; `bearer`: "at" for the modem's sockets, or "ppp".
    `saving`: (active time and period of PSM, cycle of eDRX, each in seconds, 0 for what is not wanted; whether it
    sleeps lightly), None for none of them.
    `operator`: the number of another one to try, None for none."""

    saving = operator = None  # here: they take room in few devices

    def __init__(self, family, apn, counter, pin, any_sim=False, bearer="at", saving=None, operator=None):
        self.family = family
        self.apn = apn
        self.counter = counter
        self.pin = pin
        self.any_sim = any_sim
        self.bearer = bearer
        if saving:
            self.saving = saving
        if operator:
            self.operator = operator


class UpstreamSettings:
    """Where reports go. `host` is None for no reports by CoAP, `sms_number` None for none by SMS,
    `ntp_host` None where no NTP server is asked; `sms_orders`: whether orders may come by SMS;
    `mqtt`: (prefix, user, password), the host is a broker, None where it is a collector."""

    def __init__(
        self, host, port, interval_s, sms_number, max_sms_per_cycle, ntp_host=None, sms_orders=False, mqtt=None
    ):
        self.host = host
        self.port = port
        self.interval_s = interval_s
        self.sms_number = sms_number
        self.max_sms_per_cycle = max_sms_per_cycle
        self.ntp_host = ntp_host
        self.sms_orders = sms_orders
        self.mqtt = mqtt


class Config:
    """A checked configuration: `device_id` (str), `key` (32 octets), `plan`, `classes` (tuple; the first is the
    default), `modem`, `upstream`, `enforcement` ("enforce" or "observe"); `by_class`: whether usage is counted by class
    too."""

    def __init__(self, device_id, key, plan, classes, modem, upstream, enforcement, by_class):
        self.device_id = device_id
        self.key = key
        self.plan = plan
        self.classes = classes
        self.modem = modem
        self.upstream = upstream
        self.enforcement = enforcement
        self.by_class = by_class
