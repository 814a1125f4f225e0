"""Admission that also counts by traffic class. Loaded for a configuration with `[[classes]]` of its own."""

from usageguard.core.octets import Octets
from usageguard.net.admission import Admission


class AdmissionByClass(Admission):
    """Counts from the boot on, as it is charged: what the modem's counter corrects later is of no class. What nobody
    has asked for goes to the class that reports."""

    def __init__(self, hal, config, ledger, policy, window, asleep=False):
        many = range(len(config.classes))
        self._octets = [Octets() for _ in many]
        self._connections = [0 for _ in many]
        self._refused = [0 for _ in many]
        super().__init__(hal, config, ledger, policy, window, asleep)

    def by_class(self, classes):
        """By name: IP octets as they were charged, connections opened, and sends and connections that were refused."""
        found = {}
        for i, each in enumerate(classes):
            octets, connections, refused = self._octets[i].value(), self._connections[i], self._refused[i]
            found[each.name] = {"octets": octets, "connections": connections, "refused": refused}
        return found

    def open(self, traffic_class, tcp, name_octets):
        admitted = Admission.open(self, traffic_class, tcp, name_octets)
        if admitted:
            self._connections[traffic_class] += 1
        return admitted

    def _take(self, traffic_class, asked):
        """HOT."""
        admitted = Admission._take(self, traffic_class, asked)
        if admitted or not asked:
            self._octets[traffic_class].add(self.meter.carried)
        else:
            self._refused[traffic_class] += 1
        return admitted
