/* Rules of topics and of the bridge's sections, and those that all share. */
#include "core/config_check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/catalog.h"
#include "core/config_shape.h"

enum { SECRET_SHORT = 16, CONSOLE_KEY_MIN = 16, TRIGGER_KEY_MIN = 8 };

static const char *const http_schemes[] = {"https", "http", NULL};

/* ---- saying it ---- */

void ferry_config_error_at(struct ferry_config_reader *reader, const struct ferry_yaml_node *node, const char *key,
                           const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t before = ferry_config_enter(reader, key, 0);
    ferry_config_error(reader, ferry_config_place_of(reader, node, key), "%s", text);
    ferry_config_leave(reader, before);
}

void ferry_config_warning_at(struct ferry_config_reader *reader, const struct ferry_yaml_node *node, const char *key,
                             const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t before = ferry_config_enter(reader, key, 0);
    ferry_config_warning(reader, ferry_config_place_of(reader, node, key), "%s", text);
    ferry_config_leave(reader, before);
}

bool ferry_config_has(const struct ferry_yaml_node *node, const char *key)
{
    const struct ferry_yaml_member *member = ferry_yaml_get(node, key);
    return member != NULL && !ferry_yaml_is_null(member->value);
}

static const char *name_of(const struct ferry_config_names *names, size_t index)
{
    const char *item = (const char *)names->items + index * names->size;
    return *(const char *const *)(const void *)(item + names->name_offset);
}

static struct ferry_place place_of(const struct ferry_config_names *names, size_t index)
{
    const char *item = (const char *)names->items + index * names->size;
    return *(const struct ferry_place *)(const void *)(item + names->place_offset);
}

void ferry_config_check_names(struct ferry_config_reader *reader, const struct ferry_config_names *names)
{
    size_t before = ferry_config_enter(reader, names->list_key, 0);
    for (size_t i = 1; i < names->count; i++) {
        size_t first = 0;
        while (first < i && (name_of(names, i) == NULL || name_of(names, first) == NULL ||
                             strcmp(name_of(names, first), name_of(names, i)) != 0))
            first++;
        if (first == i)
            continue;
        size_t in_list = ferry_config_enter(reader, NULL, i);
        (void)ferry_config_enter(reader, names->name_key, 0);
        ferry_config_error(reader, place_of(names, i), "\"%s\" is taken by the one in line %d, each needs its own",
                           name_of(names, i), place_of(names, first).line);
        ferry_config_leave(reader, in_list);
    }
    ferry_config_leave(reader, before);
}

void ferry_config_check_tenant(struct ferry_config_reader *reader, const struct ferry_yaml_node *node,
                               const char *tenant, bool insecure)
{
    struct ferry_slice url = ferry_slice_from(tenant);
    if (url.len == 0) /* missing, said elsewhere; or another program's */
        return;
    const char *problem = ferry_config_url_problem(url, http_schemes, 1, insecure);
    const char *authority = strstr(tenant, "://");
    const char *path = authority != NULL ? strpbrk(authority + 3, "/?#") : NULL;
    if (problem == NULL && path != NULL && strcmp(path, "/") != 0)
        problem = "has a path";
    if (problem != NULL)
        ferry_config_error_at(reader, node, "tenant", "the URL %s, expected is one like https://acme.eu.qlikcloud.com",
                              problem);
}

void ferry_config_check_auth(struct ferry_config_reader *reader, const struct ferry_yaml_node *node, void *target)
{
    static const struct {
        const char *key;
        enum ferry_auth_kind kind;
    } kinds[] = {{"api_key", FERRY_AUTH_API_KEY}, {"oauth", FERRY_AUTH_OAUTH}, {"basic", FERRY_AUTH_BASIC}};
    struct ferry_auth *auth = target;
    int count = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (!ferry_config_has(node, kinds[i].key))
            continue;
        auth->kind = kinds[i].kind;
        count++;
    }
    if (count != 1)
        ferry_config_error(reader, ferry_config_place(reader, node),
                           "%s, allowed is exactly one of api_key, oauth and basic",
                           count == 0 ? "says nothing" : "says two things");
}

void ferry_config_check_topics(struct ferry_config_reader *reader, const struct ferry_yaml_node *node, void *target)
{
    const struct ferry_topics_config *topics = target;
    if (topics->partitions == 0)
        ferry_config_error_at(reader, node, "partitions", "0 is out of range, allowed is 1 to 10000, or -1");
    if (topics->replication == 0)
        ferry_config_error_at(reader, node, "replication", "0 is out of range, allowed is 1 to 100, or -1");
}

/* ---- webhooks ---- */

static void check_readable(struct ferry_config_reader *reader, const struct ferry_yaml_node *node, const char *key,
                           const char *path)
{
    if (path != NULL && access(path, R_OK) != 0)
        ferry_config_error_at(reader, node, key, "%s cannot be read: %s", path, strerror(errno));
}

void ferry_config_check_tls(struct ferry_config_reader *reader, const struct ferry_yaml_node *node, void *target)
{
    const struct ferry_tls_files *tls = target;
    if (!reader->own)
        return;
    check_readable(reader, node, "certificate", tls->certificate);
    check_readable(reader, node, "key", tls->key);
}

/* Each secret by itself, so that the message has its line; where one is missing, the list's line has to do. */
static void check_secrets(struct ferry_config_reader *reader, const struct ferry_yaml_node *node,
                          const struct ferry_webhook_config *door)
{
    const struct ferry_yaml_member *list = ferry_yaml_get(node, "secrets");
    bool all = list != NULL && list->value->kind == FERRY_YAML_LIST && list->value->count == door->secret_count;
    size_t before = ferry_config_enter(reader, "secrets", 0);
    for (size_t i = 0; i < door->secret_count; i++) {
        struct ferry_verifier *verifier = NULL;
        struct ferry_error error = {0};
        size_t in_list = all ? ferry_config_enter(reader, NULL, i) : reader->path_len;
        if (ferry_verifier_new(door->signature, &door->secrets[i], 1, &verifier, &error) != FERRY_OK)
            ferry_config_error(reader,
                               all ? ferry_config_place(reader, list->value->items[i])
                                   : ferry_config_place_of(reader, node, "secrets"),
                               "%s", error.text);
        ferry_verifier_free(verifier);
        ferry_config_leave(reader, in_list);
    }
    ferry_config_leave(reader, before);
}

static void check_signature(struct ferry_config_reader *reader, const struct ferry_yaml_node *node,
                            const struct ferry_webhook_config *door)
{
    if (door->signature != FERRY_SIGNATURE_NONE && !ferry_config_has(node, "secrets"))
        ferry_config_error_at(reader, node, "secrets", "is missing, the signature %s needs a list like [{env: NAME}]",
                              ferry_signature_scheme_name(door->signature));
    else if (door->signature != FERRY_SIGNATURE_NONE && door->secret_count == 0 && reader->own &&
             ferry_yaml_get(node, "secrets")->value->count == 0)
        ferry_config_error_at(reader, node, "secrets", "is empty, the signature %s needs one at least",
                              ferry_signature_scheme_name(door->signature));
    else if (door->signature == FERRY_SIGNATURE_NONE && !ferry_config_has(node, "headers"))
        ferry_config_warning_at(reader, node, "signature",
                                "none: whoever reaches this path can bring events; a secret, or `headers` that must "
                                "match, would keep others out");
    if (reader->own && door->signature != FERRY_SIGNATURE_NONE)
        check_secrets(reader, node, door);
}

/* What only a door of format json has. */
static void check_json_keys(struct ferry_config_reader *reader, const struct ferry_yaml_node *node,
                            const struct ferry_webhook_config *door)
{
    static const struct {
        const char *key;
        bool required;
        const char *example;
    } keys[] = {
        {"type", true, "a template like 'com.github.\\(.headers[\"x-github-event\"])'"},
        {"id", false, ""},
        {"source", true, "a URI like https://github.com/acme"},
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (door->format != FERRY_DOOR_JSON && ferry_config_has(node, keys[i].key))
            ferry_config_error_at(reader, node, keys[i].key,
                                  "has no meaning here, only in format json: other formats "
                                  "bring their own");
        else if (door->format == FERRY_DOOR_JSON && keys[i].required && !ferry_config_has(node, keys[i].key))
            ferry_config_error_at(reader, node, keys[i].key, "is missing, format json needs %s", keys[i].example);
    }
}

static void check_door_events(struct ferry_config_reader *reader, const struct ferry_yaml_node *node,
                              struct ferry_webhook_config *door)
{
    static const char *const qlik_events[] = {"com.qlik.*"};
    if (door->format != FERRY_DOOR_QLIK) {
        if (!ferry_config_has(node, "events"))
            ferry_config_error_at(reader, node, "events",
                                  "is missing, a door that is not Qlik's says which types it "
                                  "may bring, like [\"com.github.*\"]");
        else if (door->events.count == 0 && reader->own)
            ferry_config_error_at(reader, node, "events", "is empty, this door could bring nothing");
        return;
    }
    for (size_t i = 0; i < door->events.count; i++)
        if (door->events.items[i][0] != '\0' && strncmp(door->events.items[i], "com.qlik.", 9) != 0)
            ferry_config_error_at(reader, node, "events", "\"%s\": a door of format qlik brings com.qlik.* only",
                                  door->events.items[i]);
    if (!ferry_config_has(node, "events"))
        door->events = (struct ferry_strings){qlik_events, 1};
}

void ferry_config_check_webhook(struct ferry_config_reader *reader, const struct ferry_yaml_node *node, void *target)
{
    struct ferry_webhook_config *door = target;
    if (!ferry_config_has(node, "quarantine"))
        door->quarantine = door->format == FERRY_DOOR_QLIK;
    check_signature(reader, node, door);
    check_json_keys(reader, node, door);
    check_door_events(reader, node, door);
}

/* ---- triggers ---- */

static bool fits_a_path(struct ferry_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && strchr("-._~", c) == NULL)
            return false;
    }
    return true;
}

void ferry_config_check_trigger_key(struct ferry_config_reader *reader, const struct ferry_yaml_node *node,
                                    void *target)
{
    const struct ferry_trigger_key *key = target;
    struct ferry_slice secret = ferry_secret_slice(key->secret);
    if (secret.ptr == NULL)
        return;
    if (ferry_slice_is(secret, "kit") || ferry_slice_is(secret, "runs"))
        ferry_config_error_at(reader, node, "secret", "is `%s`, which is a page of the trigger and no key", secret.ptr);
    else if (secret.len < TRIGGER_KEY_MIN)
        ferry_config_error_at(reader, node, "secret",
                              "is too short, allowed are 8 characters or more; 32 random characters are good");
    else if (key->in_url && !fits_a_path(secret))
        ferry_config_error_at(reader, node, "secret",
                              "cannot stand in a URL, allowed with in_url are letters, digits "
                              "and - . _ ~");
    else if (secret.len < SECRET_SHORT)
        ferry_config_warning_at(reader, node, "secret",
                                "is short, who tries long enough finds it; 32 random "
                                "characters are good");
}

/* Each caller its own name and its own key. */
static void check_key_pair(struct ferry_config_reader *reader, const struct ferry_yaml_node *node,
                           const struct ferry_trigger_key *first, const struct ferry_trigger_key *second)
{
    if (first->name == NULL || second->name == NULL || second->name[0] == '\0')
        return;
    struct ferry_slice one = ferry_secret_slice(first->secret), other = ferry_secret_slice(second->secret);
    if (strcmp(first->name, second->name) == 0)
        ferry_config_error_at(reader, node, "keys", "\"%s\" is the name of two keys, each needs its own", first->name);
    else if (one.len > 0 && ferry_equal_constant_time(one, other))
        ferry_config_warning_at(reader, node, "keys",
                                "%s and %s have the same secret: they cannot be told apart, nor ended alone",
                                first->name, second->name);
}

void ferry_config_check_trigger(struct ferry_config_reader *reader, const struct ferry_yaml_node *node, void *target)
{
    const struct ferry_trigger_config *trigger = target;
    const struct ferry_yaml_member *keys = ferry_yaml_get(node, "keys");
    if (keys != NULL && keys->value->kind == FERRY_YAML_LIST && keys->value->count == 0)
        ferry_config_error_at(reader, node, "keys", "is empty, nobody could call it");
    for (size_t i = 0; i < trigger->key_count; i++) {
        for (size_t k = 0; k < i; k++)
            check_key_pair(reader, node, &trigger->keys[k], &trigger->keys[i]);
    }
}

/* ---- audits ---- */

static bool matches_known(const char *glob)
{
    size_t count;
    const struct ferry_catalog_entry *entries = ferry_catalog_entries(&count);
    for (size_t i = 0; i < count; i++)
        if (ferry_glob_match(glob, ferry_slice_from(entries[i].type)) ||
            ferry_glob_match(glob, ferry_slice_from(entries[i].canonical)))
            return true;
    return false;
}

void ferry_config_check_audits(struct ferry_config_reader *reader, const struct ferry_yaml_node *node, void *target)
{
    const struct ferry_audits_config *audits = target;
    ferry_config_check_tenant(reader, node, audits->tenant, false);
    for (size_t i = 0; i < audits->events.count; i++)
        if (audits->events.items[i][0] != '\0' && !matches_known(audits->events.items[i]))
            ferry_config_warning_at(reader, node, "events", "\"%s\" matches no event of Qlik's catalogue",
                                    audits->events.items[i]);
    if (audits->interval_ms > 0 && audits->overlap_ms < audits->interval_ms)
        ferry_config_warning_at(reader, node, "overlap",
                                "is shorter than the interval, what Qlik lists late is missed");
}

void ferry_config_check_watch(struct ferry_config_reader *reader, const struct ferry_yaml_node *node, void *target)
{
    const struct ferry_watch_config *watch = target;
    ferry_config_check_tenant(reader, node, watch->tenant, false);
}

/* ---- the bridge ---- */

static bool same_address(const struct ferry_address *a, const struct ferry_address *b)
{
    if (a->host == NULL || b->host == NULL || a->port != b->port || a->port == 0)
        return false;
    return a->host[0] == '\0' || b->host[0] == '\0' || strcmp(a->host, "0.0.0.0") == 0 ||
           strcmp(b->host, "0.0.0.0") == 0 || strcmp(a->host, b->host) == 0;
}

static void check_spool(struct ferry_config_reader *reader, const struct ferry_yaml_node *node, const char *directory)
{
    struct stat status;
    if (directory == NULL || stat(directory, &status) != 0 || S_ISDIR(status.st_mode))
        return; /* one that is missing is made by the bridge */
    ferry_config_error_at(reader, node, "spool", "%s is not a directory", directory);
}

void ferry_config_check_console(struct ferry_config_reader *reader, const struct ferry_yaml_node *node, void *target)
{
    const struct ferry_console_config *console = target;
    if (console->key.ptr != NULL && console->key.len < CONSOLE_KEY_MIN)
        ferry_config_error_at(reader, node, "key",
                              "is too short, allowed are 16 characters or more; 32 random characters are good");
}

/* Whoever reads along on the way has the console's key. */
static void check_console_address(struct ferry_config_reader *reader, const struct ferry_yaml_node *node,
                                  const struct ferry_bridge_config *bridge)
{
    if (bridge->console.present && bridge->admin.host != NULL &&
        !ferry_config_is_loopback(ferry_slice_from(bridge->admin.host)))
        ferry_config_warning_at(reader, node, "console",
                                "is on an admin address that is not loopback and speaks no TLS: let a proxy that does "
                                "stand in front of it");
}

void ferry_config_check_bridge(struct ferry_config_reader *reader, const struct ferry_yaml_node *node, void *target)
{
    const struct ferry_bridge_config *bridge = target;
    if (same_address(&bridge->listen, &bridge->admin))
        ferry_config_error_at(reader, node, "admin", "%s is where `listen` is (%s), they need two ports",
                              bridge->admin.text, bridge->listen.text);
    if (bridge->ack_timeout_ms >= bridge->limits.request_timeout_ms)
        ferry_config_error_at(reader, node, "ack_timeout",
                              "is not below limits.request_timeout, so that no request "
                              "could wait for Kafka");
    if (bridge->public_url != NULL && bridge->public_url[0] != '\0') {
        const char *problem = ferry_config_url_problem(ferry_slice_from(bridge->public_url), http_schemes, 1, false);
        if (problem != NULL)
            ferry_config_error_at(reader, node, "public_url",
                                  "the URL %s, expected is one like https://ferry.example.com", problem);
    }
    check_console_address(reader, node, bridge);
    if (reader->own)
        check_spool(reader, node, bridge->spool_directory);
    ferry_config_check_names(
        reader, &(struct ferry_config_names){bridge->webhooks, bridge->webhook_count, sizeof bridge->webhooks[0],
                                             offsetof(struct ferry_webhook_config, path),
                                             offsetof(struct ferry_webhook_config, place), "webhooks", "path"});
    ferry_config_check_names(
        reader, &(struct ferry_config_names){bridge->triggers, bridge->trigger_count, sizeof bridge->triggers[0],
                                             offsetof(struct ferry_trigger_config, name),
                                             offsetof(struct ferry_trigger_config, place), "triggers", "name"});
}

void ferry_config_check_root(struct ferry_config_reader *reader, const struct ferry_yaml_node *node, void *target)
{
    const struct ferry_config *config = target;
    check_readable(reader, node, "ca_file", config->ca);
    ferry_config_check_taken(reader, config);
}
