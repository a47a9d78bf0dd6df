//! What a user's own receiver in Rust would do at the least: check the signature, parse, produce with acks=all, and answer when
//! the report is in. It normalizes nothing, looks at nothing but the event's type and the id of its data, and keeps no spool.
//!
//! Environment: SECRET, BROKERS, PORT, PREFIX (of the topics: PREFIX.TYPE).

use std::{env, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use hmac::{Hmac, KeyInit, Mac};
use rdkafka::{
    config::ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use serde_json::Value;
use sha2::Sha256;

struct Receiver {
    producer: FutureProducer,
    secret: Vec<u8>,
    prefix: String,
}

impl Receiver {
    fn signed(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let Some(signature) = headers.get("qlik-signature").and_then(|value| hex::decode(value.as_bytes()).ok()) else {
            return false;
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("a key of any length will do");
        mac.update(body);
        mac.verify_slice(&signature).is_ok()
    }
}

fn text<'a>(event: &'a Value, pointer: &str) -> Option<&'a str> {
    event.pointer(pointer).and_then(Value::as_str)
}

async fn receive(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if !receiver.signed(&headers, &body) {
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(event) = serde_json::from_slice::<Value>(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    let Some(kind) = text(&event, "/eventType").or_else(|| text(&event, "/type")) else {
        return StatusCode::BAD_REQUEST;
    };
    let topic = format!("{}.{}", receiver.prefix, kind);
    let fields = OwnedHeaders::new()
        .insert(Header { key: "ce_type", value: Some(kind) })
        .insert(Header { key: "ce_specversion", value: Some("1.0") });
    let record = FutureRecord::to(&topic).payload(body.as_ref()).key(text(&event, "/data/id").unwrap_or("")).headers(fields);
    match receiver.producer.send(record, Duration::from_secs(5)).await {
        Ok(_) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

#[tokio::main]
async fn main() {
    let setting = |name: &str| env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let producer = ClientConfig::new()
        .set("bootstrap.servers", setting("BROKERS"))
        .set("enable.idempotence", "true")
        .set("linger.ms", "1")
        .create()
        .expect("a producer");
    let receiver = Receiver { producer, secret: setting("SECRET").into_bytes(), prefix: setting("PREFIX") };
    let limit = axum::extract::DefaultBodyLimit::max(1 << 20);
    let router = Router::new().route("/", post(receive)).layer(limit).with_state(Arc::new(receiver));
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{}", setting("PORT"))).await.expect("the port");
    axum::serve(listener, router).await.expect("a server");
}
