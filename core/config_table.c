/* The option tables: every key of ferry.yaml, in the order of docs/configuration.md, which is printed from here.
 *
 * A default stands as the YAML text that one could write; the sentence for people completes "KEY is …". */
#include "core/config_check.h"
#include "core/config_reader.h"
#include "core/config_shape.h"
#include "core/template.h"

/* ROW(key, kind, struct, member, default, help[, .about = …, .flags = …]) */
#define ROW(name, what, owner, member, value, ...)                                                             \
    {                                                                                                          \
        .key = (name), .kind = FERRY_KIND_##what, .offset = offsetof(struct owner, member), .preset = (value), \
        .help = __VA_ARGS__                                                                                    \
    }
#define LIST(name, what, owner, member, counter, value, ...) \
    ROW(name, what, owner, member, value, __VA_ARGS__, .count_offset = offsetof(struct owner, counter))
#define MARK(what, owner, member)                                           \
    {                                                                       \
        .kind = FERRY_KIND_##what, .offset = offsetof(struct owner, member) \
    }
#define ROWS(array) .options = (array), .option_count = sizeof(array) / sizeof(array)[0]
#define REQUIRED .flags = FERRY_OPTION_REQUIRED

/* ---- ranges and words ---- */

static const struct ferry_config_range positive_time = {1, 366 * INT64_C(86400000), "1ms to 366d"};
static const struct ferry_config_range short_time = {1, 600 * INT64_C(1000), "1ms to 10m"};
static const struct ferry_config_range poll_time = {1000, INT64_C(86400000), "1s to 1d"};
static const struct ferry_config_range overlap_time = {0, 7 * INT64_C(86400000), "0s to 7d"};
static const struct ferry_config_range body_size = {1024, 16 << 20, "1KiB to 16MiB"};
static const struct ferry_config_range header_size = {1024, 256 << 10, "1KiB to 256KiB"};
static const struct ferry_config_range spool_size = {1 << 20, INT64_C(1) << 50, "1MiB to 1024TiB"};
static const struct ferry_config_range connection_count = {1, 1000000, "1 to 1000000"};
static const struct ferry_config_range lane_count = {1, 10000, "1 to 10000"};
static const struct ferry_config_range partition_count = {-1, 10000, "1 to 10000, or -1 for the broker's default"};
static const struct ferry_config_range replica_count = {-1, 100, "1 to 100, or -1 for the broker's default"};

static const struct ferry_config_word key_words[] = {{"resource", FERRY_KEY_RESOURCE},
                                                     {"type", FERRY_KEY_TYPE},
                                                     {"tenant", FERRY_KEY_TENANT},
                                                     {"id", FERRY_KEY_ID},
                                                     {0}};
static const struct ferry_config_word create_words[] = {
    {"known", FERRY_CREATE_KNOWN}, {"routed", FERRY_CREATE_ROUTED}, {"never", FERRY_CREATE_NEVER}, {0}};
static const struct ferry_config_word encoding_words[] = {
    {"binary", FERRY_ENCODING_BINARY}, {"structured", FERRY_ENCODING_STRUCTURED}, {0}};
static const struct ferry_config_word format_words[] = {
    {"qlik", FERRY_DOOR_QLIK}, {"cloudevents", FERRY_DOOR_CLOUDEVENTS}, {"json", FERRY_DOOR_JSON}, {0}};
static const struct ferry_config_word signature_words[] = {
    {"qlik", FERRY_SIGNATURE_QLIK},     {"github", FERRY_SIGNATURE_GITHUB},
    {"stripe", FERRY_SIGNATURE_STRIPE}, {"slack", FERRY_SIGNATURE_SLACK},
    {"bearer", FERRY_SIGNATURE_BEARER}, {"standard-webhooks", FERRY_SIGNATURE_STANDARD_WEBHOOKS},
    {"none", FERRY_SIGNATURE_NONE},     {0}};
static const struct ferry_config_word caller_address_words[] = {
    {"full", FERRY_CALLER_FULL}, {"network", FERRY_CALLER_NETWORK}, {"none", FERRY_CALLER_NONE}, {0}};
static const struct ferry_config_word start_words[] = {
    {"now", FERRY_START_NOW}, {"earliest", FERRY_START_EARLIEST}, {0}};
static const struct ferry_config_word tls_words[] = {{"none", false}, {"required", true}, {0}};
static const struct ferry_config_word wait_words[] = {{"accepted", false}, {"finished", true}, {0}};
static const struct ferry_config_word in_doubt_words[] = {
    {"park", FERRY_IN_DOUBT_PARK}, {"retry", FERRY_IN_DOUBT_RETRY}, {0}};
static const struct ferry_config_word level_words[] = {
    {"debug", FERRY_LOG_DEBUG}, {"info", FERRY_LOG_INFO}, {"warn", FERRY_LOG_WARN}, {"error", FERRY_LOG_ERROR}, {0}};

static const struct ferry_config_escape as_text = {FERRY_ESCAPE_NONE};
static const struct ferry_config_escape as_html = {FERRY_ESCAPE_HTML};
static const struct ferry_config_escape as_url = {FERRY_ESCAPE_URL};
static const struct ferry_config_escape as_slack = {FERRY_ESCAPE_SLACK};
static const struct ferry_config_escape as_header = {FERRY_ESCAPE_HEADER};

static const struct ferry_config_owned kafka_owned = {ferry_kafka_property_owned};

/* ---- topics ---- */

static const struct ferry_config_option topics_rows[] = {
    ROW("name", TEXT, ferry_topics_config, name, "\"qlik.{event}\"",
        "the topic of an event: {event} is its canonical name, {family} the first word of that, {type} its type",
        .about = &ferry_shape_topic_template),
    ROW("internal", TEXT, ferry_topics_config, internal, "ferry",
        "the prefix of the topics retry, dlq, effects, audits, results, quarantine and operations",
        .about = &ferry_shape_topic),
    ROW("key", WORD, ferry_topics_config, key, "resource", "what becomes the record's key", .about = key_words),
    ROW("create", WORD, ferry_topics_config, create, "known",
        "which topics are created at start: known: the catalogue's, the routes', `other` and the internal ones; "
        "routed: the same without the catalogue's; never: none",
        .about = create_words),
    ROW("other", TEXT, ferry_topics_config, other, "qlik.other", "where an event goes whose topic is not to be created",
        .about = &ferry_shape_topic),
    ROW("partitions", INTEGER, ferry_topics_config, partitions, "6", "the partitions of a topic that Ferry creates",
        .about = &partition_count),
    ROW("replication", INTEGER, ferry_topics_config, replication, "-1",
        "the replicas of a topic that Ferry creates; in production 3, with min.insync.replicas=2",
        .about = &replica_count),
    ROW("config", PROPERTIES, ferry_topics_config, settings, "{retention.ms: \"7776000000\"}",
        "topic settings at creation"),
    ROW("encoding", WORD, ferry_topics_config, encoding, "binary", "the CloudEvents Kafka binding's mode",
        .about = encoding_words),
};
static const struct ferry_config_table topics_table = {.title = "topics",
                                                       .help = "Where events go in Kafka.",
                                                       .size = sizeof(struct ferry_topics_config),
                                                       ROWS(topics_rows),
                                                       .check = ferry_config_check_topics};

/* ---- auth: one shape everywhere ---- */

static const struct ferry_config_option oauth_rows[] = {
    ROW("client_id", TEXT, ferry_auth, client_id, NULL, "the id of the OAuth client", REQUIRED),
    ROW("client_secret", SECRET, ferry_auth, client_secret, NULL, "its secret", REQUIRED),
};
static const struct ferry_config_table oauth_table = {
    .title = "auth.oauth", .help = "OAuth client credentials.", .size = sizeof(struct ferry_auth), ROWS(oauth_rows)};
static const struct ferry_config_option basic_rows[] = {
    ROW("user", TEXT, ferry_auth, user, NULL, "the user", REQUIRED),
    ROW("password", SECRET, ferry_auth, password, NULL, "the password", REQUIRED),
};
static const struct ferry_config_table basic_table = {
    .title = "auth.basic", .help = "User and password.", .size = sizeof(struct ferry_auth), ROWS(basic_rows)};
static const struct ferry_config_option auth_rows[] = {
    ROW("api_key", SECRET, ferry_auth, api_key, NULL, "an API key, sent as Authorization: Bearer"),
    {.key = "oauth", .kind = FERRY_KIND_TABLE, .help = "OAuth client credentials", .about = &oauth_table},
    {.key = "basic", .kind = FERRY_KIND_TABLE, .help = "user and password", .about = &basic_table},
};
static const struct ferry_config_table auth_table = {.title = "auth",
                                                     .help =
                                                         "How to log in, one shape everywhere: exactly one of these.",
                                                     .size = sizeof(struct ferry_auth),
                                                     ROWS(auth_rows),
                                                     .check = ferry_config_check_auth};

/* ---- the bridge ---- */

static const struct ferry_config_option tls_rows[] = {
    ROW("certificate", PATH, ferry_tls_files, certificate, NULL, "the PEM file of the certificate and its chain",
        REQUIRED),
    ROW("key", PATH, ferry_tls_files, key, NULL, "the PEM file of its private key", REQUIRED),
};
static const struct ferry_config_table tls_table = {
    .title = "bridge.tls",
    .help = "Reloaded on SIGHUP and when the files change. Without it: plain HTTP.",
    .size = sizeof(struct ferry_tls_files),
    ROWS(tls_rows),
    .check = ferry_config_check_tls};

static const struct ferry_config_option limits_rows[] = {
    ROW("body", SIZE, ferry_limits_config, body_bytes, "900KiB", "the largest body (413 above)", .about = &body_size),
    ROW("headers", SIZE, ferry_limits_config, headers_bytes, "16KiB", "the most bytes of headers (431 above)",
        .about = &header_size),
    ROW("header_timeout", DURATION, ferry_limits_config, header_timeout_ms, "5s", "how long headers may take",
        .about = &short_time),
    ROW("request_timeout", DURATION, ferry_limits_config, request_timeout_ms, "30s",
        "how long a whole request may take (408)", .about = &short_time),
    ROW("connections", COUNT, ferry_limits_config, connections, "4096", "the most connections at once",
        .about = &connection_count),
    ROW("per_address", COUNT, ferry_limits_config, per_address, "256",
        "the most connections of one address at once; trusted proxies are exempt", .about = &connection_count),
};
static const struct ferry_config_table limits_table = {.title = "bridge.limits",
                                                       .help = "What one sender, and all together, may take.",
                                                       .size = sizeof(struct ferry_limits_config),
                                                       ROWS(limits_rows)};

static const struct ferry_config_option spool_rows[] = {
    MARK(PRESENT, ferry_bridge_config, spool_named),
    ROW("directory", PATH, ferry_bridge_config, spool_directory, "/var/lib/ferry/spool",
        "where requests are kept on disk while Kafka does not answer"),
    ROW("limit", SIZE, ferry_bridge_config, spool_limit_bytes, "1GiB", "the most bytes in it (503 above)",
        .about = &spool_size),
};
static const struct ferry_config_table spool_table = {.title = "bridge.spool",
                                                      .help =
                                                          "Or the word `off`: 503 while Kafka does not answer. Not "
                                                          "named: the default directory, if /var/lib/ferry is there.",
                                                      .size = sizeof(struct ferry_bridge_config),
                                                      ROWS(spool_rows)};

static const struct ferry_config_option webhook_rows[] = {
    MARK(PLACE, ferry_webhook_config, place),
    ROW("path", TEXT, ferry_webhook_config, path, NULL, "the path that the sender posts to", REQUIRED,
        .about = &ferry_shape_url_path),
    ROW("format", WORD, ferry_webhook_config, format, "qlik",
        "qlik: legacy, hybrid, CloudEvents, repaired where Qlik strays; cloudevents: strict 1.0.2; json: any JSON "
        "object",
        .about = format_words),
    ROW("signature", WORD, ferry_webhook_config, signature, "qlik", "how the sender signs", .about = signature_words),
    LIST("secrets", SECRETS, ferry_webhook_config, secrets, secret_count, NULL,
         "the secrets of that signature; any one may match, for rotation; required unless signature is none"),
    LIST("headers", HEADERS, ferry_webhook_config, headers, header_count, NULL, "headers that must match as well"),
    ROW("tenants", TEXTS, ferry_webhook_config, tenants, "[]",
        "the tenants whose events are taken; if named, events of others are refused (403)", .about = &ferry_shape_word),
    ROW("events", TEXTS, ferry_webhook_config, events, NULL,
        "globs of the types that this door may bring; required unless format is qlik (com.qlik.*)",
        .about = &ferry_shape_glob),
    ROW("quarantine", FLAG, ferry_webhook_config, quarantine, NULL,
        "whether a signed request that is no event is kept in `<internal>.quarantine` (204) instead of refused (400); "
        "default: true for format qlik, else false"),
    ROW("rate", RATE, ferry_webhook_config, rate, NULL, "the most requests in a time (429 above); default: no limit"),
    ROW("allow_origins", TEXTS, ferry_webhook_config, allow_origins, "[\"*\"]",
        "the origins that the CloudEvents OPTIONS handshake allows", .about = &ferry_shape_word),
    ROW("type", TEMPLATE, ferry_webhook_config, type, NULL,
        "the event's type, a template over .headers and .data; format json only, and required there",
        .about = &as_text),
    ROW("id", TEMPLATE, ferry_webhook_config, id, NULL,
        "the event's id, a template like `type`; format json only; default: a hash of the body", .about = &as_text),
    ROW("source", TEXT, ferry_webhook_config, source, NULL,
        "the event's source, a URI-reference; format json only, and required there", .about = &ferry_shape_uri),
};
static const struct ferry_config_table webhook_table = {.title = "bridge.webhooks[]",
                                                        .help = "A door: one path, one sender, one signature.",
                                                        .size = sizeof(struct ferry_webhook_config),
                                                        ROWS(webhook_rows),
                                                        .check = ferry_config_check_webhook};

static const struct ferry_config_option trigger_key_rows[] = {
    ROW("name", TEXT, ferry_trigger_key, name, NULL, "the caller's name, each its own", REQUIRED,
        .about = &ferry_shape_name),
    ROW("secret", SECRET, ferry_trigger_key, secret, NULL, "the caller's key", REQUIRED),
    ROW("in_url", FLAG, ferry_trigger_key, in_url, "false",
        "whether the key may also stand in the path: /triggers/NAME/KEY"),
};
static const struct ferry_config_table trigger_key_table = {
    .title = "bridge.triggers[].keys[]",
    .help = "Sent as Authorization: Bearer, X-Ferry-Key, or the password of basic authorization.",
    .size = sizeof(struct ferry_trigger_key),
    ROWS(trigger_key_rows),
    .check = ferry_config_check_trigger_key};

static const struct ferry_config_option trigger_rows[] = {
    MARK(PLACE, ferry_trigger_config, place),
    ROW("name", TEXT, ferry_trigger_config, name, NULL, "the NAME in /triggers/NAME and in the event trigger.NAME",
        REQUIRED, .about = &ferry_shape_name),
    LIST("keys", TABLES, ferry_trigger_config, keys, key_count, NULL, "the keys that open it", REQUIRED,
         .about = &trigger_key_table),
    ROW("revoked", TEXTS, ferry_trigger_config, revoked, "[]",
        "labels of keys that the kit made and that end here, with the labels under them: ann ends ann.curl",
        .about = &ferry_shape_name),
    ROW("inputs", TEXTS, ferry_trigger_config, inputs, "[]",
        "the fields of query, form or JSON that go into `data`; others are refused (400)", .about = &ferry_shape_input),
    ROW("cors", TEXTS, ferry_trigger_config, cors, "[]", "the origins whose pages may call it",
        .about = &ferry_shape_origin),
    ROW("cross_site", FLAG, ferry_trigger_config, cross_site, "false",
        "whether pages of any other site may link to it and post to it, without the caller being asked first"),
    ROW("rate", RATE, ferry_trigger_config, rate, NULL, "the most calls in a time (429 above); default: no limit"),
    ROW("caller_address", WORD, ferry_trigger_config, caller_address, "full",
        "how much of the caller's address goes along in the header ferry-caller: full; network: 24 bits of IPv4, 48 of "
        "IPv6; none",
        .about = caller_address_words),
};
static const struct ferry_config_table trigger_table = {
    .title = "bridge.triggers[]",
    .help = "For callers that can only call a URL: GET or POST /triggers/NAME.",
    .size = sizeof(struct ferry_trigger_config),
    ROWS(trigger_rows),
    .check = ferry_config_check_trigger};

static const struct ferry_config_option audits_rows[] = {
    MARK(PLACE, ferry_audits_config, place),
    ROW("tenant", TEXT, ferry_audits_config, tenant, NULL, "the tenant's URL", REQUIRED),
    ROW("auth", TABLE, ferry_audits_config, auth, NULL, "how to log in there", REQUIRED, .about = &auth_table),
    ROW("events", TEXTS, ferry_audits_config, events, "[\"*\"]",
        "globs of types or canonical names, for instance only those that have no webhook", .about = &ferry_shape_glob),
    ROW("interval", DURATION, ferry_audits_config, interval_ms, "1m", "the time between two polls",
        .about = &poll_time),
    ROW("overlap", DURATION, ferry_audits_config, overlap_ms, "10m",
        "how far a poll looks back over the last one; what it sees again is not published again",
        .about = &overlap_time),
};
static const struct ferry_config_table audits_table = {.title = "bridge.audits[]",
                                                       .help =
                                                           "Polls Qlik's Audits API, for events that have no webhook.",
                                                       .size = sizeof(struct ferry_audits_config),
                                                       ROWS(audits_rows),
                                                       .check = ferry_config_check_audits};

static const struct ferry_config_option console_rows[] = {
    MARK(PRESENT, ferry_console_config, present),
    ROW("key", SECRET, ferry_console_config, key, NULL, "what opens it, 16 characters at least", REQUIRED),
};
static const struct ferry_config_table console_table = {
    .title = "bridge.console",
    .help = "A page at /console/ of the admin address that shows what flows and what waits; without it there is none.",
    .size = sizeof(struct ferry_console_config),
    ROWS(console_rows),
    .check = ferry_config_check_console};

static const struct ferry_config_option watch_rows[] = {
    MARK(PLACE, ferry_watch_config, place),
    ROW("tenant", TEXT, ferry_watch_config, tenant, NULL, "the tenant's URL", REQUIRED),
    ROW("auth", TABLE, ferry_watch_config, auth, NULL, "how to log in there", REQUIRED, .about = &auth_table),
    ROW("interval", DURATION, ferry_watch_config, interval_ms, "5m", "the time between two looks", .about = &poll_time),
};
static const struct ferry_config_table watch_table = {
    .title = "bridge.watch[]",
    .help = "A tenant whose webhooks are looked at: are those that send to `public_url` enabled, which deliveries "
            "failed? Tenants of `bridge.audits` are looked at every 5m anyway.",
    .size = sizeof(struct ferry_watch_config),
    ROWS(watch_rows),
    .check = ferry_config_check_watch};

static const struct ferry_config_option bridge_rows[] = {
    MARK(PRESENT, ferry_bridge_config, present),
    ROW("listen", ADDRESS, ferry_bridge_config, listen, "127.0.0.1:8080", "where webhooks and triggers arrive"),
    ROW("admin", ADDRESS, ferry_bridge_config, admin, "127.0.0.1:8081", "where /healthz, /readyz and /metrics are"),
    ROW("public_url", TEXT, ferry_bridge_config, public_url, NULL, "the URL by which senders reach the bridge"),
    ROW("tls", TABLE, ferry_bridge_config, tls, NULL, "the certificate", .about = &tls_table),
    ROW("limits", TABLE, ferry_bridge_config, limits, NULL, "the limits", .about = &limits_table),
    ROW("trusted_proxies", TEXTS, ferry_bridge_config, trusted_proxies, "[]",
        "networks whose X-Forwarded-For is believed; they are exempt from per_address", .about = &ferry_shape_cidr),
    ROW("ack_timeout", DURATION, ferry_bridge_config, ack_timeout_ms, "1500ms",
        "how long a request waits for Kafka before it goes to the spool", .about = &short_time),
    {.key = "spool",
     .kind = FERRY_KIND_TABLE,
     .help = "the spool, or the word off",
     .about = &spool_table,
     .flags = FERRY_OPTION_OFF},
    LIST("webhooks", TABLES, ferry_bridge_config, webhooks, webhook_count, NULL, "the doors", .about = &webhook_table),
    LIST("triggers", TABLES, ferry_bridge_config, triggers, trigger_count, NULL, "the trigger URLs",
         .about = &trigger_table),
    LIST("audits", TABLES, ferry_bridge_config, audits, audits_count, NULL, "the tenants to poll",
         .about = &audits_table),
    LIST("watch", TABLES, ferry_bridge_config, watch, watch_count, NULL, "more tenants whose webhooks are looked at",
         .about = &watch_table),
    ROW("console", TABLE, ferry_bridge_config, console, NULL, "the console", .about = &console_table),
    ROW("kafka", PROPERTIES, ferry_bridge_config, kafka, NULL, "librdkafka properties that override `kafka`",
        .about = &kafka_owned),
};
static const struct ferry_config_table bridge_table = {.title = "bridge",
                                                       .help = "What ferry-bridge does.",
                                                       .size = sizeof(struct ferry_bridge_config),
                                                       ROWS(bridge_rows),
                                                       .check = ferry_config_check_bridge};

/* ---- the workers ---- */

static const struct ferry_config_option retry_rows[] = {
    ROW("first", DURATION, ferry_worker_config, retry_first_ms, "10s", "the first wait", .about = &positive_time),
    ROW("max", DURATION, ferry_worker_config, retry_max_ms, "1h", "the longest wait", .about = &positive_time),
    ROW("for", DURATION, ferry_worker_config, retry_for_ms, "24h", "how long is tried before it becomes a dead letter",
        .about = &positive_time),
    ROW("in_lane", DURATION, ferry_worker_config, retry_in_lane_ms, "1m",
        "what would be tried again later than this after its first failure waits in the retry topic",
        .about = &positive_time),
};
static const struct ferry_config_table retry_table = {.title = "worker.retry",
                                                      .help = "Waits double, with jitter.",
                                                      .size = sizeof(struct ferry_worker_config),
                                                      ROWS(retry_rows)};

static const struct ferry_config_option lookup_rows[] = {
    ROW("tenant", TEXT, ferry_lookup_config, tenant, NULL, "the tenant's URL", REQUIRED),
    ROW("auth", TABLE, ferry_lookup_config, auth, NULL, "how to log in there", REQUIRED, .about = &auth_table),
};
static const struct ferry_config_table lookup_table = {
    .title = "worker.lookup",
    .help = "Asks Qlik's REST API for names: adds .user.name, .user.email, .space.name and .app.name to what "
            "expressions and templates see. Without it they are absent.",
    .size = sizeof(struct ferry_lookup_config),
    ROWS(lookup_rows),
    .check = ferry_config_check_lookup};

static const struct ferry_config_option worker_rows[] = {
    ROW("concurrency", INTEGER, ferry_worker_config, concurrency, "64", "how many effects run side by side",
        .about = &lane_count),
    {.key = "retry", .kind = FERRY_KIND_TABLE, .help = "how temporary failures are tried again", .about = &retry_table},
    ROW("dedupe_window", DURATION, ferry_worker_config, dedupe_window_ms, "8d",
        "how long an effect is remembered, so that it takes place once; Qlik can resend for 7 days",
        .about = &positive_time),
    ROW("max_age", DURATION, ferry_worker_config, max_age_ms, "7d", "the age from which an event is settled as expired",
        .about = &positive_time, .flags = FERRY_OPTION_OFF),
    ROW("start", WORD, ferry_worker_config, start, "now", "where a group without any commit begins",
        .about = start_words),
    ROW("lookup", TABLE, ferry_worker_config, lookup, NULL, "where names are looked up for ids",
        .about = &lookup_table),
};
static const struct ferry_config_table worker_table = {
    .title = "worker",
    .help = "Shared by the workers; each may override any of it under its own key.",
    .size = sizeof(struct ferry_worker_config),
    ROWS(worker_rows),
    .check = ferry_config_check_worker};

#define WORKER_ROWS(owner, address, name)                                                                \
    MARK(PRESENT, owner, worker.present),                                                                \
        ROW("admin", ADDRESS, owner, worker.admin, address, "where /healthz, /readyz and /metrics are")  \
    , ROW("group", TEXT, owner, worker.group, name, "the consumer group", .about = &ferry_shape_topic)   \
    , ROW("kafka", PROPERTIES, owner, worker.kafka, NULL, "librdkafka properties that override `kafka`", \
          .about = &kafka_owned)
#define ROUTE_ROWS(owner)                                                                                           \
    MARK(PLACE, owner, common.place),                                                                               \
        ROW("name", TEXT, owner, common.name, NULL, "the route's name in metrics, logs and dead letters", REQUIRED, \
            .about = &ferry_shape_name)                                                                             \
    , ROW("events", TEXTS, owner, common.events, NULL, "canonical names of events, or globs of them", REQUIRED,     \
          .about = &ferry_shape_glob)                                                                               \
    , ROW("when", EXPRESSION, owner, common.when, NULL,                                                             \
          "a jq expression; the route takes events for which it is "                                                \
          "neither null nor false")                                                                                 \
    , LIST("once_per", EXPRESSIONS, owner, common.once_per, common.once_per_count, NULL,                            \
           "a list of jq expressions: what makes two events the same for this route")

static const struct ferry_config_option slack_route_rows[] = {
    ROUTE_ROWS(ferry_slack_route),
    ROW("webhook", SECRET, ferry_slack_route, webhook, NULL, "the URL of an incoming webhook"),
    ROW("channel", TEXT, ferry_slack_route, channel, NULL, "the id of a channel, instead of webhook",
        .about = &ferry_shape_word),
    ROW("token", SECRET, ferry_slack_route, token, NULL, "the bot token that posts to channel"),
    ROW("api", TEXT, ferry_slack_route, api, "https://slack.com/api", "the base of Slack's Web API"),
    ROW("pace", RATE, ferry_slack_route, pace, "1/1s", "the most messages in a time to one destination"),
    ROW("digest", DURATION, ferry_slack_route, digest_ms, "off",
        "a window: what waits for one destination goes as one message", .about = &positive_time,
        .flags = FERRY_OPTION_OFF),
    ROW("text", TEMPLATE, ferry_slack_route, text, NULL, "the message, a template in Slack's mrkdwn", REQUIRED,
        .about = &as_slack),
    ROW("blocks", EXPRESSION, ferry_slack_route, blocks, NULL,
        "a jq program that returns Block Kit blocks; what it takes from the event stays text in them"),
    ROW("insecure", FLAG, ferry_slack_route, insecure, "false", "whether plain http:// is allowed"),
};
static const struct ferry_config_table slack_route_table = {
    .title = "slack.routes[]",
    .help = "Events that become Slack messages: a webhook, or a channel and a token.",
    .size = sizeof(struct ferry_slack_route),
    ROWS(slack_route_rows),
    .prepare = ferry_config_begin_route,
    .check = ferry_config_check_slack_route};
static const struct ferry_config_option slack_rows[] = {
    WORKER_ROWS(ferry_slack_config, "127.0.0.1:8082", "ferry-slack"),
    LIST("routes", TABLES, ferry_slack_config, routes, route_count, NULL, "the routes", .about = &slack_route_table),
};
static const struct ferry_config_table slack_table = {.title = "slack",
                                                      .help = "What ferry-slack does; all keys of `worker` as well.",
                                                      .size = sizeof(struct ferry_slack_config),
                                                      ROWS(slack_rows),
                                                      .merged = &worker_table,
                                                      .prepare = ferry_config_inherit_worker,
                                                      .check = ferry_config_check_slack};

static const struct ferry_config_option mail_route_rows[] = {
    ROUTE_ROWS(ferry_mail_route),
    ROW("to", EXPRESSION, ferry_mail_route, to, NULL,
        "a jq expression that gives the recipient; null or \"\" is a counted skip", REQUIRED),
    ROW("subject", TEMPLATE, ferry_mail_route, subject, NULL, "the subject, a template", REQUIRED, .about = &as_header),
    ROW("text", TEMPLATE, ferry_mail_route, text, NULL, "the plain text, a template", REQUIRED, .about = &as_text),
    ROW("html", TEMPLATE, ferry_mail_route, html, NULL, "the same as HTML, a template", .about = &as_html),
};
static const struct ferry_config_table mail_route_table = {.title = "mail.routes[]",
                                                           .help = "Events that become mails.",
                                                           .size = sizeof(struct ferry_mail_route),
                                                           ROWS(mail_route_rows),
                                                           .prepare = ferry_config_begin_route,
                                                           .check = ferry_config_check_mail_route};
static const struct ferry_config_option smtp_rows[] = {
    ROW("url", TEXT, ferry_smtp_config, url, NULL, "the server: smtps://host:465 or smtp://host:587", REQUIRED),
    ROW("username", TEXT, ferry_smtp_config, username, NULL, "the user; default: no log-in"),
    ROW("password", SECRET, ferry_smtp_config, password, NULL, "the password"),
    ROW("tls", SWITCH, ferry_smtp_config, tls_required, "required",
        "required: smtps, or STARTTLS before anything is said; none: only to loopback, or with insecure: true",
        .about = tls_words),
    ROW("insecure", FLAG, ferry_smtp_config, insecure, "false", "whether `tls: none` is allowed to any host"),
    ROW("ca", PATH, ferry_smtp_config, ca, NULL, "a PEM file of trust anchors for this server alone"),
};
static const struct ferry_config_table smtp_table = {.title = "mail.smtp",
                                                     .help = "The server that takes the mails.",
                                                     .size = sizeof(struct ferry_smtp_config),
                                                     ROWS(smtp_rows),
                                                     .check = ferry_config_check_smtp};
static const struct ferry_config_option mail_caps_rows[] = {
    ROW("per_domain", RATE, ferry_mail_caps, per_domain, NULL,
        "the most mails to one recipient domain in any such time, like 500/1h; default: no cap"),
    ROW("per_tenant", RATE, ferry_mail_caps, per_tenant, NULL,
        "the most mails for the events of one tenant in any such time, like 2000/1h; default: no cap"),
};
static const struct ferry_config_table mail_caps_table = {
    .title = "mail.caps",
    .help = "What is over a cap waits; it is neither an attempt nor dropped. Each process counts for itself.",
    .size = sizeof(struct ferry_mail_caps),
    ROWS(mail_caps_rows)};
static const struct ferry_config_option mail_rows[] = {
    WORKER_ROWS(ferry_mail_config, "127.0.0.1:8083", "ferry-mail"),
    ROW("smtp", TABLE, ferry_mail_config, smtp, NULL, "the SMTP server", REQUIRED, .about = &smtp_table),
    ROW("caps", TABLE, ferry_mail_config, caps, NULL, "the most mails in a time", .about = &mail_caps_table),
    ROW("from", TEXT, ferry_mail_config, from, NULL, "the sender: an address, or Name <address>", REQUIRED,
        .about = &ferry_shape_mailbox),
    ROW("recipient_domains", TEXTS, ferry_mail_config, recipient_domains, NULL,
        "the domains that mails may go to; \"*\" for any must be written out", REQUIRED, .about = &ferry_shape_domain),
    LIST("routes", TABLES, ferry_mail_config, routes, route_count, NULL, "the routes", .about = &mail_route_table),
};
static const struct ferry_config_table mail_table = {.title = "mail",
                                                     .help = "What ferry-mail does; all keys of `worker` as well.",
                                                     .size = sizeof(struct ferry_mail_config),
                                                     ROWS(mail_rows),
                                                     .merged = &worker_table,
                                                     .prepare = ferry_config_inherit_worker,
                                                     .check = ferry_config_check_mail};

static const struct ferry_config_option qlik_call_rows[] = {
    ROW("tenant", TEXT, ferry_qlik_call, tenant, NULL, "the tenant's URL", REQUIRED),
    ROW("automation", TEXT, ferry_qlik_call, automation, NULL, "the automation's id; its run mode is `triggered`",
        REQUIRED, .about = &ferry_shape_name),
    ROW("token", SECRET, ferry_qlik_call, token, NULL, "the automation's execution token", REQUIRED),
    ROW("wait", SWITCH, ferry_qlik_call, wait_finished, "accepted",
        "accepted: done when Qlik has taken the call; finished: done when the run is, which takes auth",
        .about = wait_words),
    ROW("auth", TABLE, ferry_qlik_call, auth, NULL, "how to log in to look at the run", .about = &auth_table),
};
static const struct ferry_config_table qlik_call_table = {.title = "automation.routes[].qlik",
                                                          .help = "Runs a Qlik automation.",
                                                          .size = sizeof(struct ferry_qlik_call),
                                                          ROWS(qlik_call_rows),
                                                          .check = ferry_config_check_qlik_call};
static const struct ferry_config_option request_rows[] = {
    ROW("method", TEXT, ferry_request_call, method, "POST", "GET, POST, PUT, PATCH or DELETE",
        .about = &ferry_shape_method),
    ROW("url", TEMPLATE, ferry_request_call, url, NULL, "where to, a template; scheme and host are literal", REQUIRED,
        .about = &as_url),
    LIST("headers", HEADERS, ferry_request_call, headers, header_count, NULL, "headers of the request"),
    ROW("json", MAPPING, ferry_request_call, json, NULL,
        "the body: a jq expression, or a map whose values are; default: the bytes of `data`"),
    LIST("accept", ACCEPT, ferry_request_call, accept, accept_count, "[2xx]", "the statuses that count as done",
         .about = &ferry_shape_status),
};
static const struct ferry_config_table request_table = {.title = "automation.routes[].request",
                                                        .help = "Calls an external system over HTTP.",
                                                        .size = sizeof(struct ferry_request_call),
                                                        ROWS(request_rows)};
static const struct ferry_config_option automation_route_rows[] = {
    ROUTE_ROWS(ferry_automation_route),
    ROW("qlik", TABLE, ferry_automation_route, qlik, NULL, "a Qlik automation to run; or:", .about = &qlik_call_table),
    ROW("request", TABLE, ferry_automation_route, request, NULL, "an HTTP call", .about = &request_table),
    ROW("input", MAPPING, ferry_automation_route, input, NULL,
        "the inputs of the automation: a jq expression, or a map whose values are; default: the bytes of `data`"),
    ROW("insecure", FLAG, ferry_automation_route, insecure, "false", "whether plain http:// is allowed"),
};
static const struct ferry_config_table automation_route_table = {
    .title = "automation.routes[]",
    .help = "Events that start something: exactly one of qlik and request.",
    .size = sizeof(struct ferry_automation_route),
    ROWS(automation_route_rows),
    .prepare = ferry_config_begin_route,
    .check = ferry_config_check_automation_route};
static const struct ferry_config_option automation_rows[] = {
    WORKER_ROWS(ferry_automation_config, "127.0.0.1:8084", "ferry-automation"),
    ROW("in_doubt", WORD, ferry_automation_config, in_doubt, "park",
        "a call whose outcome is unknown: park: a dead letter outcome-unknown; retry: again, perhaps twice",
        .about = in_doubt_words),
    ROW("tenant_pace", RATE, ferry_automation_config, tenant_pace, "300/1m",
        "the most calls to the automations of one tenant in any such time, Qlik's limit; what is over it waits. Each "
        "process counts for itself"),
    LIST("routes", TABLES, ferry_automation_config, routes, route_count, NULL, "the routes",
         .about = &automation_route_table),
};
static const struct ferry_config_table automation_table = {
    .title = "automation",
    .help = "What ferry-automation does; all keys of `worker` as well.",
    .size = sizeof(struct ferry_automation_config),
    ROWS(automation_rows),
    .merged = &worker_table,
    .prepare = ferry_config_inherit_worker,
    .check = ferry_config_check_automation};

/* ---- the file ---- */

static const struct ferry_config_option log_rows[] = {
    ROW("level", WORD, ferry_config, log_level, "info", "the least level that is logged", .about = level_words),
    ROW("events", FLAG, ferry_config, log_events, "true",
        "whether each event that was taken, and each effect that went well, has a line (level info)"),
};
static const struct ferry_config_table log_table = {
    .title = "log", .help = "One JSON object a line on stderr.", .size = sizeof(struct ferry_config), ROWS(log_rows)};

/* `secrets` is first because the values of all others may come from it; `worker` stands before those who inherit. */
static const struct ferry_config_option root_rows[] = {
    ROW("secrets", ENV_FILE, ferry_config, secrets_file, NULL,
        "a file of NAME=value lines where {env: NAME} looks after the environment; nobody else may read it"),
    ROW("kafka", PROPERTIES, ferry_config, kafka, NULL,
        "librdkafka properties, passed through; default: {bootstrap.servers: 127.0.0.1:9092}", .about = &kafka_owned,
        .sections = FERRY_SECTION_ALL),
    ROW("topics", TABLE, ferry_config, topics, NULL, "the topics", .about = &topics_table),
    ROW("bridge", TABLE, ferry_config, bridge, NULL, "ferry-bridge", .about = &bridge_table,
        .sections = FERRY_SECTION_BRIDGE),
    ROW("worker", TABLE, ferry_config, worker, NULL, "what the workers share", .about = &worker_table,
        .sections = FERRY_SECTION_SLACK | FERRY_SECTION_MAIL | FERRY_SECTION_AUTOMATION),
    ROW("slack", TABLE, ferry_config, slack, NULL, "ferry-slack", .about = &slack_table,
        .sections = FERRY_SECTION_SLACK),
    ROW("mail", TABLE, ferry_config, mail, NULL, "ferry-mail", .about = &mail_table, .sections = FERRY_SECTION_MAIL),
    ROW("automation", TABLE, ferry_config, automation, NULL, "ferry-automation", .about = &automation_table,
        .sections = FERRY_SECTION_AUTOMATION),
    ROW("ca_file", PATH, ferry_config, ca, NULL,
        "a PEM file of trust anchors for all outgoing HTTPS and SMTP; default: the system's"),
    {.key = "log", .kind = FERRY_KIND_TABLE, .help = "the log", .about = &log_table},
    ROW("shutdown_timeout", DURATION, ferry_config, shutdown_timeout_ms, "10s",
        "how long a program may finish what is in flight", .about = &short_time),
};
const struct ferry_config_table ferry_config_root = {.title = "ferry.yaml",
                                                     .help = "The keys at the top.",
                                                     .size = sizeof(struct ferry_config),
                                                     ROWS(root_rows),
                                                     .check = ferry_config_check_root};
