"""Cisco Control Center's REST API in front of the simulated carrier: devices, their usage, and changes of status."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from host_tools.sim.carrier.carrier import Carrier
from host_tools.sim.carrier.stops import CANCELLED, EXHAUSTED, MANUAL

Answer = tuple[int, dict[str, Any]]
_BODY = ("status", "effectiveDate", "overageLimitOverride", "deviceID", "ratePlan", "communicationPlan", "customer")


class ControlCenter:
    """`sims` are IMSIs by ICCID; `keys` the API keys of users."""

    def __init__(self, carrier: Carrier, sims: Mapping[str, str], keys: Mapping[str, str]) -> None:
        self.carrier = carrier
        self._sims = dict(sims)
        self._keys = dict(keys)
        self._overrides: dict[str, str] = {}

    def answer(
        self, method: str, path: str, query: Mapping[str, str], authorization: str, body: Mapping[str, Any]
    ) -> Answer:
        """The HTTP status and object that answer a request below `/rws/api/v1/`."""
        if not self._is_known(authorization):
            return _error(401, "10000001", "Invalid credentials")
        words = path.strip("/").split("/")
        if words[0] == "echo" and len(words) == 2:
            return 200, {"value": words[1]}
        if words == ["devices"] and method == "GET":
            return self._search(query)
        if words[0] != "devices" or len(words) not in (2, 3):
            return _error(404, "10000024", "Resource not found")
        iccid = words[1]
        if iccid not in self._sims:
            return _error(404, "20000001", "Resource not found - Invalid ICCID")
        if len(words) == 3:
            return (
                (200, self._usage(iccid)) if words[2] == "ctdUsages" else _error(404, "10000024", "Resource not found")
            )
        if method == "PUT":
            return self._edit(iccid, body)
        return 200, self._device(iccid)

    def _is_known(self, authorization: str) -> bool:
        kind, _, word = authorization.partition(" ")
        try:
            user, _, key = base64.b64decode(word, validate=True).decode().partition(":")
        except ValueError:
            return False
        return kind == "Basic" and user in self._keys and self._keys[user] == key

    def _status(self, iccid: str) -> str:
        news = self.carrier.news(self._sims[iccid])
        if CANCELLED.code in news.stops:
            return "RETIRED"
        if MANUAL.code in news.stops:
            return "DEACTIVATED"
        return {"test": "TEST_READY", "silent": "ACTIVATION_READY"}.get(news.phase, "ACTIVATED")

    def _device(self, iccid: str) -> dict[str, Any]:
        return {"iccid": iccid, "imsi": self._sims[iccid], "status": self._status(iccid), "ratePlan": "plan"}

    def _usage(self, iccid: str) -> dict[str, Any]:
        news = self.carrier.news(self._sims[iccid])
        return {
            "iccid": iccid,
            "status": self._status(iccid),
            "ctdDataUsage": news.used_octets,
            "ctdSessionCount": 0,
            "overageLimitReached": EXHAUSTED.code in news.stops,
            "overageLimitOverride": self._overrides.get(iccid, "DEFAULT"),
        }

    def _edit(self, iccid: str, body: Mapping[str, Any]) -> Answer:
        if not body or any(name not in _BODY for name in body):
            return _error(400, "10000003", "Invalid request")
        status = body.get("status", self._status(iccid))
        if status not in ("ACTIVATED", "DEACTIVATED") and status != self._status(iccid):
            return _error(400, "20000007", "Invalid status")
        if self._status(iccid) == "RETIRED":
            return _error(400, "20000008", "The device is retired")
        if status == "DEACTIVATED":
            self.carrier.stop(self._sims[iccid])
        else:
            self.carrier.resume(self._sims[iccid], MANUAL.code)
        self._overrides[iccid] = str(body.get("overageLimitOverride", self._overrides.get(iccid, "DEFAULT")))
        return 200, {"iccid": iccid}

    def _search(self, query: Mapping[str, str]) -> Answer:
        size, page = int(query.get("pageSize", "50")), int(query.get("pageNumber", "1"))
        if not 1 <= size <= 50 or page < 1 or "modifiedSince" not in query:
            return _error(400, "10000003", "Invalid request")
        wanted = query.get("status")
        listed = [iccid for iccid in self._sims if wanted in (None, self._status(iccid))]
        part = listed[(page - 1) * size : page * size]
        return 200, {
            "devices": [self._device(iccid) for iccid in part],
            "pageNumber": page,
            "lastPage": page * size >= len(listed),
        }


def _error(status: int, code: str, message: str) -> Answer:
    return status, {"errorMessage": message, "errorCode": code}
