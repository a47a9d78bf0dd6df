/* ferry.yaml as tables: one file for all programs (docs/contract.md, "Configuration"; options and defaults in
 * docs/configuration.md, which is generated from the option table).
 *
 * Everything hangs on one arena inside `struct ferry_config` and is read-only after ferry_config_load; a reload makes
 * a new one. Pointers are never NULL unless it says so; lists are pointer and count. */
#ifndef FERRY_CORE_CONFIG_H
#define FERRY_CORE_CONFIG_H

#include <stdint.h>

#include "core/error.h"
#include "core/log.h"
#include "core/secret.h"
#include "core/signature.h"

/* ---- values ---- */

/* Where a value stands, for messages that come later. */
struct ferry_place {
    const char *file;
    int line;
};

/* A jq expression or a template, as text. `text` is NULL where an optional one is not set. */
struct ferry_source {
    const char *text;
    struct ferry_place place;
};

struct ferry_named_source {
    const char *name;
    struct ferry_source source;
};

/* `input` and `json`: one expression, or a map whose values are expressions; or neither. */
struct ferry_mapping {
    struct ferry_source whole; /* text NULL: see `members` */
    const struct ferry_named_source *members;
    size_t member_count;
};

struct ferry_strings {
    const char *const *items;
    size_t count;
};

/* 10/1m: `events` in `window_ms`; 0 events: no limit. */
struct ferry_rate {
    int64_t events;
    int64_t window_ms;
};

/* "127.0.0.1:8080", "[::1]:8080", ":8080". `text` NULL: not set. */
struct ferry_address {
    const char *text;
    const char *host; /* "" for any */
    uint16_t port;    /* 0: a free one */
};

struct ferry_tls_files {
    const char *certificate; /* NULL: no TLS; absolute path */
    const char *key;
};

/* A header whose value may be a secret. */
struct ferry_secret_header {
    const char *name;
    struct ferry_secret value;
};

/* How to log in at Qlik's REST API or elsewhere; one shape everywhere. */
enum ferry_auth_kind { FERRY_AUTH_NONE, FERRY_AUTH_API_KEY, FERRY_AUTH_OAUTH, FERRY_AUTH_BASIC };
struct ferry_auth {
    enum ferry_auth_kind kind;
    struct ferry_secret api_key;
    const char *client_id; /* oauth */
    struct ferry_secret client_secret;
    const char *user; /* basic */
    struct ferry_secret password;
};

/* One librdkafka property. */
struct ferry_property {
    const char *name;
    const char *value;
    struct ferry_place place;
};
struct ferry_properties {
    const struct ferry_property *items;
    size_t count;
};

/* ---- topics ---- */

enum ferry_key { FERRY_KEY_RESOURCE, FERRY_KEY_TYPE, FERRY_KEY_TENANT, FERRY_KEY_ID };
enum ferry_create { FERRY_CREATE_KNOWN, FERRY_CREATE_ROUTED, FERRY_CREATE_NEVER };
enum ferry_encoding { FERRY_ENCODING_BINARY, FERRY_ENCODING_STRUCTURED };

struct ferry_topics_config {
    const char *name;     /* "qlik.{event}" */
    const char *internal; /* "ferry" */
    enum ferry_key key;
    enum ferry_create create;
    const char *other;
    int partitions;                   /* -1: the broker's default */
    int replication;                  /* -1: the broker's default */
    struct ferry_properties settings; /* topics.config */
    enum ferry_encoding encoding;
};

/* ---- the bridge ---- */

enum ferry_door_format { FERRY_DOOR_QLIK, FERRY_DOOR_CLOUDEVENTS, FERRY_DOOR_JSON };

struct ferry_webhook_config {
    const char *path;
    enum ferry_door_format format;
    enum ferry_signature_scheme signature;
    const struct ferry_secret *secrets;
    size_t secret_count;
    const struct ferry_secret_header *headers; /* must all match */
    size_t header_count;
    struct ferry_strings tenants; /* none: any */
    struct ferry_strings events;  /* type globs that this door may bring; filled for format qlik too */
    bool quarantine;
    struct ferry_rate rate;
    struct ferry_strings allow_origins;
    struct ferry_source type; /* format json: templates over .headers and .data */
    struct ferry_source id;   /* text NULL: a hash of the body */
    const char *source;       /* format json: the attribute, literally; else NULL */
    struct ferry_place place;
};

struct ferry_trigger_key {
    const char *name;
    struct ferry_secret secret;
    bool in_url;
};

/* How much of a caller's address is kept: `caller_address`, an addition to the contract as `cross_site` is. */
enum ferry_caller_address { FERRY_CALLER_FULL, FERRY_CALLER_NETWORK, FERRY_CALLER_NONE };

struct ferry_trigger_config {
    const char *name;
    const struct ferry_trigger_key *keys;
    size_t key_count;
    struct ferry_strings revoked;
    struct ferry_strings inputs;
    struct ferry_strings cors;
    bool cross_site;
    struct ferry_rate rate;
    enum ferry_caller_address caller_address;
    struct ferry_place place;
};

struct ferry_audits_config {
    const char *tenant;
    struct ferry_auth auth;
    struct ferry_strings events;
    int64_t interval_ms;
    int64_t overlap_ms;
    struct ferry_place place;
};

/* A tenant whose webhooks are looked at; those of `audits` are anyway. */
enum { FERRY_WATCH_INTERVAL_MS = 300000 };
struct ferry_watch_config {
    const char *tenant;
    struct ferry_auth auth;
    int64_t interval_ms;
    struct ferry_place place;
};

/* The console on the admin address. */
struct ferry_console_config {
    bool present; /* it stands in the file */
    struct ferry_secret key;
};

struct ferry_limits_config {
    int64_t body_bytes;
    int64_t headers_bytes;
    int64_t header_timeout_ms;
    int64_t request_timeout_ms;
    int64_t connections;
    int64_t per_address;
};

struct ferry_bridge_config {
    bool present; /* the section stands in the file */
    struct ferry_address listen;
    struct ferry_address admin;
    const char *public_url; /* NULL: not set */
    struct ferry_tls_files tls;
    struct ferry_limits_config limits;
    struct ferry_strings trusted_proxies; /* CIDR, checked */
    int64_t ack_timeout_ms;
    bool spool_named;            /* stands in the file: it must be usable */
    const char *spool_directory; /* NULL: no spool */
    int64_t spool_limit_bytes;
    const struct ferry_webhook_config *webhooks;
    size_t webhook_count;
    const struct ferry_trigger_config *triggers;
    size_t trigger_count;
    const struct ferry_audits_config *audits;
    size_t audits_count;
    const struct ferry_watch_config *watch;
    size_t watch_count;
    struct ferry_console_config console;
    struct ferry_properties kafka; /* overrides */
};

/* ---- the workers ---- */

enum ferry_start { FERRY_START_NOW, FERRY_START_EARLIEST };

/* Where names are looked up for ids. */
struct ferry_lookup_config {
    const char *tenant; /* NULL: nowhere */
    struct ferry_auth auth;
};

/* The `worker:` section merged with what the worker's own section says. */
struct ferry_worker_config {
    bool present;
    struct ferry_address admin;
    const char *group;
    int concurrency;
    int64_t retry_first_ms;
    int64_t retry_max_ms;
    int64_t retry_for_ms;
    int64_t retry_in_lane_ms; /* an addition */
    int64_t dedupe_window_ms;
    int64_t max_age_ms; /* 0: off */
    enum ferry_start start;
    struct ferry_lookup_config lookup;
    struct ferry_properties kafka; /* overrides */
};

/* What every route has. */
struct ferry_route_config {
    const char *name;
    struct ferry_strings events; /* canonical names, globs */
    struct ferry_source when;    /* optional */
    const struct ferry_source *once_per;
    size_t once_per_count; /* 0: the default key */
    unsigned names;        /* 1 << enum ferry_name_kind: what its expressions and templates mention … */
    unsigned when_names;   /* … and its `when` alone */
    struct ferry_place place;
};

struct ferry_slack_route {
    struct ferry_route_config common;
    struct ferry_secret webhook; /* a URL; or: */
    const char *channel;         /* NULL: webhook */
    struct ferry_secret token;
    const char *api; /* base of the Web API; default https://slack.com/api */
    struct ferry_rate pace;
    int64_t digest_ms; /* 0: off */
    struct ferry_source text;
    struct ferry_source blocks; /* optional jq program */
    bool insecure;
};

struct ferry_slack_config {
    struct ferry_worker_config worker;
    const struct ferry_slack_route *routes;
    size_t route_count;
};

struct ferry_mail_route {
    struct ferry_route_config common;
    struct ferry_source to;
    struct ferry_source subject;
    struct ferry_source text;
    struct ferry_source html; /* optional */
};

struct ferry_smtp_config {
    const char *url;
    const char *username; /* NULL: no AUTH */
    struct ferry_secret password;
    bool tls_required;
    bool insecure;
    const char *ca; /* NULL: the system's; an addition to the contract */
};

/* 0 events: no cap. */
struct ferry_mail_caps {
    struct ferry_rate per_domain; /* of the recipient */
    struct ferry_rate per_tenant; /* of the event */
};

struct ferry_mail_config {
    struct ferry_worker_config worker;
    struct ferry_smtp_config smtp;
    struct ferry_mail_caps caps;
    const char *from;
    struct ferry_strings recipient_domains;
    const struct ferry_mail_route *routes;
    size_t route_count;
};

struct ferry_qlik_call {
    const char *tenant;
    const char *automation;
    struct ferry_secret token;
    bool wait_finished;
    struct ferry_auth auth;
};

/* 2xx, 404, 410: inclusive ranges of status. */
struct ferry_status_range {
    int from;
    int to;
};

struct ferry_request_call {
    const char *method;
    struct ferry_source url;
    const struct ferry_secret_header *headers;
    size_t header_count;
    struct ferry_mapping json;
    const struct ferry_status_range *accept;
    size_t accept_count;
};

struct ferry_automation_route {
    struct ferry_route_config common;
    bool is_qlik; /* else `request` */
    struct ferry_qlik_call qlik;
    struct ferry_request_call request;
    struct ferry_mapping input; /* of a qlik call */
    bool insecure;
};

enum ferry_in_doubt { FERRY_IN_DOUBT_PARK, FERRY_IN_DOUBT_RETRY };

struct ferry_automation_config {
    struct ferry_worker_config worker;
    enum ferry_in_doubt in_doubt;
    struct ferry_rate tenant_pace; /* of calls to the automations of one tenant */
    const struct ferry_automation_route *routes;
    size_t route_count;
};

/* ---- the whole ---- */

struct ferry_config {
    const char *file;
    const char *secrets_file; /* `secrets`: NAME=value lines behind {env: NAME}; NULL: none. An addition. */
    struct ferry_properties kafka;
    struct ferry_topics_config topics;
    struct ferry_bridge_config bridge;
    struct ferry_worker_config worker; /* the shared section; merged into the next three already */
    struct ferry_slack_config slack;
    struct ferry_mail_config mail;
    struct ferry_automation_config automation;
    enum ferry_log_level log_level;
    bool log_events; /* a line for each event and effect that went well. An addition. */
    int64_t shutdown_timeout_ms;
    const char *ca; /* `ca_file`: trust anchors for all outgoing HTTPS and SMTP; NULL: the system's. An addition. */
    struct ferry_config_memory *memory;
};

/* Whose secrets are resolved: a program resolves only its own sections; secrets of the others stay {NULL, 0}. */
enum ferry_sections {
    FERRY_SECTION_KAFKA = 1,
    FERRY_SECTION_BRIDGE = 2,
    FERRY_SECTION_SLACK = 4,
    FERRY_SECTION_MAIL = 8,
    FERRY_SECTION_AUTOMATION = 16,
    FERRY_SECTION_ALL = 31,
    FERRY_SECTION_NO_SECRETS = 32 /* beside others: all of them but the secrets, which stay {NULL, 0} */
};

/* One mistake, or one warning, in the file's words. */
struct ferry_finding {
    struct ferry_place place;
    bool warning;
    const char *text; /* "key: what is wrong, what is allowed" */
};
struct ferry_findings {
    const struct ferry_finding *items; /* sorted by line */
    size_t count;
    size_t errors;
};

/* Reads, checks (every mistake in one run, templates compiled) and resolves. `*out` is always set unless memory ran
 * out, so that the findings can be read (`findings` lives in it); it may be used only if there are no errors.
 * Returns FERRY_CONFIG when there are errors. The caller frees `*out`. Not while another thread calls setenv. */
FERRY_NODISCARD enum ferry_code ferry_config_load(const char *path, unsigned sections, struct ferry_config **out,
                                                  struct ferry_findings *findings, struct ferry_error *error);
/* The same for a text that is at hand; `path` is its name in findings and where relative paths start from. */
FERRY_NODISCARD enum ferry_code ferry_config_parse(const char *path, struct ferry_slice text, unsigned sections,
                                                   struct ferry_config **out, struct ferry_findings *findings,
                                                   struct ferry_error *error);
/* Wipes the secrets. NULL is allowed. */
void ferry_config_free(struct ferry_config *config);

/* What stands in the section of a worker: "slack", "mail", "automation". NULL for another name. */
const struct ferry_worker_config *ferry_config_worker(const struct ferry_config *config, const char *worker);
/* The route of that index of a worker; NULL behind the last. */
const struct ferry_route_config *ferry_config_route(const struct ferry_config *config, const char *worker,
                                                    size_t index);

/* Keys of librdkafka that Ferry owns (`acks`, `enable.idempotence`, `partitioner`, offset storing …): why, or NULL. The
 * loader refuses them; whether the others are good librdkafka itself says when a client is opened. */
const char *ferry_kafka_property_owned(const char *name);

/* Writes `FILE:LINE: text` lines. */
struct ferry_buffer;
void ferry_findings_print(const struct ferry_findings *findings, struct ferry_buffer *out);

/* The option table as a Markdown reference. */
void ferry_config_print_reference(struct ferry_buffer *out);

#endif
