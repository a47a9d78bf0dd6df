"""PyPI mq-bridge as a peer: HTTP in, Kafka out. It answers 202 after Kafka has acknowledged the record: `delayed_ack`
and `fire_and_forget` are off by default, and with a broker that stands still it does not answer. The route is Rust; no Python
runs for a message. It checks no signature, parses nothing and knows one topic. What comes while a batch is on its way is the next
batch, so that lingering would only add to it.

Environment: BROKERS, PORT, PREFIX (the topic is PREFIX.all).
"""
import os

from mq_bridge import Route

Route.from_config({
    "input": {"http": {"url": f"127.0.0.1:{os.environ['PORT']}", "method": "POST"}},
    "output": {"kafka": {"url": os.environ["BROKERS"], "topic": os.environ["PREFIX"] + ".all", "create_topic": False,
                         "producer_options": [["linger.ms", "0"], ["enable.idempotence", "true"]]}},
    "required_delivery": "at_least_once",
}).run()
