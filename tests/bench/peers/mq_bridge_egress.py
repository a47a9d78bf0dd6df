"""PyPI mq-bridge as a peer: Kafka in, HTTP out. The routes are Rust; no Python runs for a message. A record goes out whole: its
headers as those of the request, its value as the body, to the path that its header `http_path` names. The offsets of a batch are
committed when all of it has been answered.

Environment: BROKERS, TOPIC, GROUP, URL; ROUTES: members of the group; AT_ONCE: requests of a batch at once.
"""
import logging
import os

from mq_bridge import Route, init_logging

logging.basicConfig(level=logging.WARNING)
init_logging()

routes = [Route.from_config({
    "input": {"kafka": {"url": os.environ["BROKERS"], "topic": os.environ["TOPIC"], "group_id": os.environ["GROUP"]}},
    "output": {"http": {"url": os.environ["URL"], "method": "POST", "batch_concurrency": int(os.environ["AT_ONCE"])}},
    "concurrency": 1,
    "required_delivery": "at_least_once",
}) for _ in range(int(os.environ["ROUTES"]))]
for route in routes:
    route.start()
for route in routes:
    route.join()
