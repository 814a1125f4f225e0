"""Publishes once an hour with stock `umqtt.robust`, which tries again for ever and pauses with `time.sleep`.

With QoS 1 that library may wait for ever for an acknowledgement of what was lost with the connection.
"""

import time

from umqtt.robust import MQTTClient


def main(guard):
    client = MQTTClient(b"meter-7", "broker.example")
    client.connect()
    while True:
        client.publish(b"meter-7/reading", b"%0400d" % time.ticks_ms())
        guard.hal.event("published")
        time.sleep(3600)
