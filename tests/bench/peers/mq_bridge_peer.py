"""PyPI mq-bridge as a peer: HTTP in, Kafka out, the answer when the record is acknowledged. The route is Rust; no Python
runs for a message. It checks no signature, parses nothing and knows one topic.

Environment: BROKERS, PORT, PREFIX (the topic is PREFIX.all).
"""
import os

from mq_bridge import Route

Route.from_config({
    "input": {"http": {"url": f"127.0.0.1:{os.environ['PORT']}"}},
    "output": {"kafka": {"url": os.environ["BROKERS"], "topic": os.environ["PREFIX"] + ".all",
                         "producer_options": [["linger.ms", "1"], ["enable.idempotence", "true"]]}},
}).run()
