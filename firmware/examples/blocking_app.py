"""A blocking application: stock `umqtt.simple`, and `time.sleep` between its turns."""

import time

from umqtt.simple import MQTTClient

BROKER = ("mqtt.example", 1883)
PERIOD_S = 60


def main(guard):
    client = MQTTClient(b"meter-7", BROKER[0], BROKER[1])
    client.connect()
    for reading in range(5):
        client.publish(b"meter-7/reading", str(reading).encode(), qos=1)
        time.sleep(PERIOD_S)
    client.disconnect()
