"""A blocking application: stock `umqtt.simple`, and `guard.sleep` (or `time.sleep` on the bench) between its turns."""

from umqtt.simple import MQTTClient

BROKER = ("mqtt.example", 1883)
PERIOD_MS = 60_000


def main(guard):
    client = MQTTClient(b"meter-7", BROKER[0], BROKER[1])
    client.connect()
    for reading in range(5):
        client.publish(b"meter-7/reading", str(reading).encode(), qos=1)
        guard.sleep(PERIOD_MS)
    client.disconnect()
