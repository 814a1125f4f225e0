"""Connects for each message, as many examples do."""

import time

from umqtt.simple import MQTTClient


def main(guard):
    reading = 0
    while True:
        client = MQTTClient("meter-7", "broker.example", keepalive=60)
        client.connect()
        client.publish(b"meter-7/reading", b'{"reading": %d}' % reading, qos=1)
        client.disconnect()
        reading += 1
        time.sleep(600)
