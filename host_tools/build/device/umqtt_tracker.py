"""A plain tracker application: stock `umqtt.simple`, QoS 1, one connection that is kept open."""

from umqtt.simple import MQTTClient
from workload import live, request

KEEPALIVE_S = 0
TOPIC = b"fleet/tracker-001/track"

_client = None


def publish(guard, habit):
    """Publishes once, and connects first if needed. Raises OSError when it fails."""
    global _client
    with guard.traffic(habit.traffic_class):
        if _client is None:
            client = MQTTClient(b"tracker-001", habit.host, habit.port, keepalive=KEEPALIVE_S)
            client.connect()
            _client = client
    try:
        _client.publish(TOPIC, bytes(habit.tx), qos=1)
    except OSError:
        gone, _client = _client, None
        gone.sock.close()
        raise


def main(guard):
    live(guard, lambda guard, habit: (publish if habit.kind == "publish" else request)(guard, habit))
