// node decode.js BROKERS TOPIC ID: prints the event with that id as the JavaScript CloudEvents SDK reads it from Kafka.
const { Kafka, logLevel } = require("kafkajs");
const { Kafka: binding } = require("cloudevents");

const [brokers, topic, id] = process.argv.slice(2);
const kafka = new Kafka({ clientId: "ferry-tests", brokers: brokers.split(","), logLevel: logLevel.NOTHING });
const consumer = kafka.consumer({ groupId: `decode-${process.pid}-${Date.now()}`, maxWaitTimeInMs: 50 });
let done;

function text(headers) {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value.toString()]));
}

async function main() {
  const found = new Promise((resolve) => (done = resolve));
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ message }) => {
      const headers = text(message.headers);
      const structured = (headers["content-type"] || "").startsWith("application/cloudevents");
      const value = structured ? message.value.toString() : message.value;
      const event = binding.toEvent({ headers, key: message.key && message.key.toString(), value, body: value });
      if (event.id === id) done({ event: event.toJSON(), value: message.value.toString("base64") });
    },
  });
  const result = await Promise.race([found, new Promise((resolve) => setTimeout(resolve, 30000, null))]);
  await consumer.disconnect();
  if (result === null) throw new Error(`no event ${id} in ${topic}`);
  process.stdout.write(JSON.stringify(result));
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
