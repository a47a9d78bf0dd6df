"""Three brokers, with what the faults need: clients and brokers talk on ports of their own, so that a network fault can
part the bridge from Kafka and leave Kafka whole; and clients log in, so that a fault can change what the bridge may do."""
from confluent_kafka import admin

from support.kafka import ADMIN, Kafka
from support.process import free_port, until

BRIDGE = ("bridge", "bridge-secret")


class Cluster(Kafka):
    def __init__(self, folder, brokers=3, extra=None):
        super().__init__(folder, brokers, extra=extra)
        self.inside = {b.number: free_port() for b in self.brokers}

    def settings(self, broker):
        own = self.inside[broker.number]
        inside = f"INSIDE://127.0.0.1:{own}"
        clients = f"CLIENTS://127.0.0.1:{broker.port}"
        users = " ".join(f'user_{name}="{password}"' for name, password in (ADMIN, BRIDGE))
        return super().settings(broker) | {
            "listeners": f"{clients},{inside},CONTROLLER://127.0.0.1:{broker.controller_port}",
            "advertised.listeners": f"{clients},{inside}",
            "listener.security.protocol.map": "CLIENTS:SASL_PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "INSIDE",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.clients.plain.sasl.jaas.config":
                f"org.apache.kafka.common.security.plain.PlainLoginModule required {users};",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "true",
            "super.users": f"User:{ADMIN[0]};User:ANONYMOUS",  # ANONYMOUS: the brokers among themselves
        } | self.extra

    def client(self, user=None, mechanism="PLAIN"):
        name, password = user or ADMIN
        return {"bootstrap.servers": self.bootstrap, "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": mechanism,
                "sasl.username": name, "sasl.password": password}

    def make_topics(self, *names, partitions=3, config=None):
        self.create_topics(*names, partitions=partitions, config=config)

    def _no_writing(self, topic, make):
        return make(admin.ResourceType.TOPIC, topic, admin.ResourcePatternType.LITERAL, f"User:{BRIDGE[0]}", "*",
                    admin.AclOperation.WRITE, admin.AclPermissionType.DENY)

    def forbid_writing(self, topic):
        """The bridge loses the right to write it, until allow_writing()."""
        for future in self.admin().create_acls([self._no_writing(topic, admin.AclBinding)]).values():
            future.result(30)

    def allow_writing(self, topic):
        for future in self.admin().delete_acls([self._no_writing(topic, admin.AclBindingFilter)]).values():
            future.result(30)

    def leader(self, topic, partition=0):
        """The broker that leads it; None when there is none at the moment."""
        number = self.admin().list_topics(topic, timeout=10).topics[topic].partitions[partition].leader
        return next((b for b in self.brokers if b.number == number), None)

    def whole(self, topics):
        """Are all replicas of these topics in sync?"""
        known = self.admin().list_topics(timeout=10).topics
        return all(t in known and known[t].partitions and all(
            p.leader > 0 and len(p.isrs) == len(p.replicas) for p in known[t].partitions.values()) for t in topics)

    def pause(self):
        """Nobody answers, until resume()."""
        for broker in self.brokers:
            broker.pause()

    def resume(self):
        for broker in self.brokers:
            broker.resume()

    def revive(self, limit=90):
        """Every broker up again, also one that was stopped or killed."""
        for broker in self.brokers:
            if broker.child is None or not broker.child.running:
                broker.start()
            broker.resume()
        for broker in self.brokers:
            broker.wait(limit)
        until(self._whole, limit, "all brokers in the metadata")
