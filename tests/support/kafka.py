"""Apache Kafka for tests and for development: KRaft brokers on free ports, each with a data folder of its own.

    kafka = Kafka(folder).start()             one broker, PLAINTEXT
    kafka = Kafka(folder, brokers=3).start()  replication 3, min.insync.replicas 2
    kafka = Kafka(folder, authority=ca, users={"ferry": "secret"})
                                              SASL_SSL (PLAIN, SCRAM-SHA-512) and ACLs: nobody may do a thing but `admin`

As a program, for people: python -m support.kafka start|stop [--brokers N].
"""
import argparse
import contextlib
import fcntl
import os
import pathlib
import re
import signal
import subprocess
import sys

from support.process import Child, free_port, listening, until

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
CLUSTER_ID = "RmVycnlUZXN0Q2x1c3RlcgA"[:22]
# A small heap and the first compiler only: a broker is up in about three seconds, with 230 MiB.
JAVA = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
ADMIN = ("admin", "admin-secret")


def jars(name="kafka"):
    """The folder with the jars of kafka/pom.xml, or connect/pom.xml; Maven fetches them once."""
    folder, pom = BUILD / f"{name}-jars", pathlib.Path(__file__).parent / name / "pom.xml"
    BUILD.mkdir(exist_ok=True)
    with (BUILD / f"{name}-jars.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = folder / "pom.xml"
        if not stamp.exists() or stamp.read_bytes() != pom.read_bytes():
            subprocess.run(["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies",
                            f"-DoutputDirectory={folder}"], check=True, stdin=subprocess.DEVNULL)
            stamp.write_bytes(pom.read_bytes())
    return folder


class Broker:
    """One node: broker and controller together."""

    def __init__(self, cluster, number, port):
        self.cluster, self.number, self.port = cluster, number, port
        self.controller_port = free_port()
        self.folder = cluster.folder / f"broker{number}"
        self.child = None

    @property
    def properties(self):
        return self.folder / "server.properties"

    def format(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.properties.write_text("".join(f"{k}={v}\n" for k, v in self.cluster.settings(self).items()))
        if (self.folder / "data" / "meta.properties").exists():
            return
        arguments = ["format", "-t", CLUSTER_ID, "-c", self.properties]
        if self.cluster.secured:
            arguments += ["--add-scram", "SCRAM-SHA-512=[name=%s,password=%s]" % ADMIN]
        done = subprocess.run([*JAVA, "-cp", f"{jars()}/*", "kafka.tools.StorageTool", *map(str, arguments)],
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"formatting failed:\n{done.stdout}{done.stderr}"

    def command(self):
        return [*JAVA, "-cp", f"{jars()}/*", "kafka.Kafka", self.properties]

    def start(self):
        self.format()
        self.child = Child(self.command(), self.folder / "log")
        return self

    def wait(self, limit=60):
        self.child.wait_for(lambda: listening(self.port), limit, f"broker {self.number} listening")

    def kill(self):
        """kill -9; start() brings it back on the same data."""
        self.child.kill()

    def pause(self):
        self.child.signal(signal.SIGSTOP)

    def resume(self):
        self.child.signal(signal.SIGCONT)

    def stop(self):
        if self.child:
            self.child.stop(15)


class Kafka:
    def __init__(self, folder, brokers=1, authority=None, users=None, ports=None, extra=None):
        self.folder = pathlib.Path(folder)
        self.authority, self.extra = authority, extra or {}
        self.certificate = authority.issue("kafka") if authority else None
        self.users = {**(users or {}), ADMIN[0]: ADMIN[1]}
        self._admin = None
        ports = ports or [free_port() for _ in range(brokers)]
        self.brokers = [Broker(self, n, port) for n, port in enumerate(ports, 1)]

    @property
    def secured(self):
        return self.authority is not None

    @property
    def bootstrap(self):
        return ",".join(f"127.0.0.1:{b.port}" for b in self.brokers)

    def settings(self, broker):
        """server.properties of one node."""
        count, scheme = len(self.brokers), "SASL_SSL" if self.secured else "PLAINTEXT"
        result = {
            "process.roles": "broker,controller",
            "node.id": broker.number,
            "controller.quorum.voters": ",".join(f"{b.number}@127.0.0.1:{b.controller_port}" for b in self.brokers),
            "listeners": f"{scheme}://127.0.0.1:{broker.port},CONTROLLER://127.0.0.1:{broker.controller_port}",
            "advertised.listeners": f"{scheme}://127.0.0.1:{broker.port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": f"{scheme}:{scheme},CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": scheme,
            "log.dirs": broker.folder / "data",
            "auto.create.topics.enable": "false",
            "num.partitions": 3,
            "default.replication.factor": count,
            "min.insync.replicas": 2 if count > 2 else 1,
            "offsets.topic.replication.factor": count,
            "offsets.topic.num.partitions": 3 if count > 2 else 1,
            "transaction.state.log.replication.factor": count,
            "transaction.state.log.min.isr": 2 if count > 2 else 1,
            "share.coordinator.state.topic.replication.factor": count,
            "share.coordinator.state.topic.min.isr": 2 if count > 2 else 1,
            "group.initial.rebalance.delay.ms": 0,
            "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
            # A killed broker that comes back is taken again as soon as its old session is over.
            "broker.heartbeat.interval.ms": 500,
            "broker.session.timeout.ms": 3000,
        }
        if self.secured:
            result |= self._security()
        return result | self.extra

    def _security(self):
        users = " ".join(f'user_{name}="{password}"' for name, password in self.users.items())
        plain, scram = "plain.PlainLoginModule", "scram.ScramLoginModule"
        login = "org.apache.kafka.common.security.%s required " + 'username="%s" password="%s"' % ADMIN
        return {
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
            "sasl.mechanism.inter.broker.protocol": "PLAIN",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": f"{login % plain} {users};",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f"{login % scram};",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self.certificate.both,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.authority.certificate,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            # ANONYMOUS is the controller's listener, which only this node uses.
            "super.users": f"User:{ADMIN[0]};User:ANONYMOUS",
            "allow.everyone.if.no.acl.found": "false",
        }

    def start(self, limit=60):
        try:
            for broker in self.brokers:
                broker.start()
            for broker in self.brokers:
                broker.wait(limit)
            until(self._whole, limit, f"{len(self.brokers)} brokers in the metadata")
        except BaseException:
            self.stop()
            raise
        return self

    def _whole(self):
        """Every node is registered and there is a controller."""
        listing = subprocess.run(["kcat", *self.kcat_options(), "-L", "-m", "5"], capture_output=True, text=True, check=False)
        return re.search(rf"^ {len(self.brokers)} brokers:", listing.stdout, re.M)

    def stop(self):
        for broker in reversed(self.brokers):
            broker.stop()

    def kill(self):
        for broker in self.brokers:
            broker.kill()

    # ------------------------------------------------------------------------------------------- clients

    def client(self, user=None, mechanism="PLAIN"):
        """librdkafka's properties for `user` = (name, password); the administrator if none is named.

        PLAIN (inside TLS) is what Debian 12's librdkafka 2.0.2 can do here: before 2.6.1 it repeats the client's nonce in
        SCRAM, which Kafka 3.8.1 and later refuse as invalid credentials.
        """
        result = {"bootstrap.servers": self.bootstrap}
        if self.secured:
            name, password = user or ADMIN
            result |= {"security.protocol": "SASL_SSL", "sasl.mechanism": mechanism, "sasl.username": name,
                       "sasl.password": password, "ssl.ca.location": str(self.authority.certificate)}
        return result

    @staticmethod
    def newer_librdkafka(folder):
        """An environment in which programs load the librdkafka of the confluent-kafka wheel instead of Debian's."""
        import confluent_kafka
        packages = pathlib.Path(confluent_kafka.__file__).parents[1]
        library, = (packages / "confluent_kafka.libs").glob("librdkafka-*.so.1")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "librdkafka.so.1").symlink_to(library)
        return {"LD_LIBRARY_PATH": str(folder)}

    def kcat_options(self, user=None):
        return [part for k, v in self.client(user).items() for part in ("-X", f"{k}={v}")]

    def admin(self):
        # Kept: a client that is collected while it works cancels what it was asked.
        if self._admin is None:
            from confluent_kafka.admin import AdminClient
            self._admin = AdminClient({**self.client(), "log_level": 0})
        return self._admin

    def topics(self):
        return self.admin().list_topics(timeout=10).topics

    def create_topics(self, *names, partitions=1, config=None):
        from confluent_kafka.admin import NewTopic
        made = self.admin().create_topics(
            [NewTopic(n, partitions, len(self.brokers), config=config or {}) for n in names])
        for future in made.values():
            future.result(30)
        until(lambda: set(names) <= set(self.topics()), 20, f"topics {names}")

    def topic_config(self, name):
        from confluent_kafka.admin import ConfigResource, ResourceType
        resource = ConfigResource(ResourceType.TOPIC, name)
        return {k: v.value for k, v in self.admin().describe_configs([resource])[resource].result(20).items()}

    def create_scram_user(self, name, password):
        from confluent_kafka import admin
        change = admin.UserScramCredentialUpsertion(
            name, admin.ScramCredentialInfo(admin.ScramMechanism.SCRAM_SHA_512, 4096), password.encode())
        for future in self.admin().alter_user_scram_credentials([change]).values():
            future.result(30)

    def allow(self, user, resource, name, *operations, prefix=False):
        """An ACL: allow("ferry", "TOPIC", "qlik.", "WRITE", "DESCRIBE", prefix=True)."""
        from confluent_kafka import admin
        pattern = admin.ResourcePatternType.PREFIXED if prefix else admin.ResourcePatternType.LITERAL
        kind = "BROKER" if resource == "CLUSTER" else resource
        bindings = [admin.AclBinding(admin.ResourceType[kind], name, pattern, f"User:{user}", "*",
                                     admin.AclOperation[o], admin.AclPermissionType.ALLOW) for o in operations]
        for future in self.admin().create_acls(bindings).values():
            future.result(30)


# ------------------------------------------------------------------------------------ ./dev kafka start|stop

DEVELOPMENT = BUILD / "kafka-dev"


def development_pids():
    """pid → command line, of the brokers that an earlier `start` left running."""
    found = {}
    for file in DEVELOPMENT.glob("broker*/pid"):
        with contextlib.suppress(OSError, ValueError):
            pid = int(file.read_text())
            command = pathlib.Path(f"/proc/{pid}/cmdline").read_text()
            if str(file.parent / "server.properties") in command:
                found[pid] = command
    return found


def start_development(brokers):
    if development_pids():
        sys.exit("already running: ./dev kafka stop ends it")
    data = len(list(DEVELOPMENT.glob("broker*/data")))
    if data not in (0, brokers):
        sys.exit(f"build/kafka-dev holds the data of {data} broker(s): delete it, or start with --brokers {data}")
    ports = [9092, 9094, 9096][:brokers]
    busy = [p for p in ports if listening(p)]
    if busy:
        sys.exit(f"port {busy[0]} is in use: another Kafka?")
    kafka = Kafka(DEVELOPMENT, ports=ports)
    for broker in kafka.brokers:
        broker.controller_port = broker.port + 1
    for broker in kafka.brokers:
        broker.format()
        with (broker.folder / "log").open("ab") as log:
            process = subprocess.Popen([str(a) for a in broker.command()], stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=log, start_new_session=True)
        (broker.folder / "pid").write_text(str(process.pid))
    try:
        until(kafka._whole, 60, "Kafka up; its logs are build/kafka-dev/broker*/log")
    except BaseException:
        stop_development()
        raise
    print(f"Kafka is up: bootstrap.servers = {kafka.bootstrap}")


def stop_development():
    pids = development_pids()
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    until(lambda: not development_pids(), 30, "brokers gone")
    print(f"stopped {len(pids)} broker(s); the data stay in build/kafka-dev")


def main():
    parser = argparse.ArgumentParser(prog="./dev kafka")
    parser.add_argument("action", choices=("start", "stop"))
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1)
    options = parser.parse_args()
    if options.action == "start":
        start_development(options.brokers)
    else:
        stop_development()


if __name__ == "__main__":
    main()
