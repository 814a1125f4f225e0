"""The blocking example after a careless change: it goes on for ever, connects for each reading, and pings each time."""

import time

from umqtt.simple import MQTTClient

BROKER = ("mqtt.example", 1883)
PERIOD_S = 300


def main(guard):
    reading = 0
    while True:
        client = MQTTClient(b"meter-7", BROKER[0], BROKER[1], keepalive=60)
        client.connect()
        client.ping()
        client.publish(b"meter-7/reading", str(reading).encode(), qos=1)
        client.disconnect()
        reading += 1
        time.sleep(PERIOD_S)
