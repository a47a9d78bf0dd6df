/* What one key alone cannot know: the `check` of each option table. Private to core/config*.c.
 * Each reports what it finds; `node` is the map, `target` its struct. */
#ifndef FERRY_CORE_CONFIG_CHECK_H
#define FERRY_CORE_CONFIG_CHECK_H

#include "core/config_reader.h"

typedef void ferry_config_check_fn(struct ferry_config_reader *reader, const struct ferry_yaml_node *node,
                                   void *target);

ferry_config_check_fn ferry_config_check_topics, ferry_config_check_auth, ferry_config_check_tls,
    ferry_config_check_webhook, ferry_config_check_trigger_key, ferry_config_check_trigger, ferry_config_check_audits,
    ferry_config_check_watch, ferry_config_check_console, ferry_config_check_bridge, ferry_config_check_lookup,
    ferry_config_check_worker, ferry_config_check_slack_route, ferry_config_check_slack, ferry_config_check_mail_route,
    ferry_config_check_smtp, ferry_config_check_mail, ferry_config_check_qlik_call, ferry_config_check_automation_route,
    ferry_config_check_automation, ferry_config_check_root;

/* Before a worker's own section is read: what `worker:` says, or its defaults. `target` begins with the worker's
 * struct. */
void ferry_config_inherit_worker(struct ferry_config_reader *reader, void *target);

/* Before a route is read: which names it mentions is found out while it is. */
void ferry_config_begin_route(struct ferry_config_reader *reader, void *target);

/* Reports at `key` of the map, with the key at the end of the path. */
void ferry_config_error_at(struct ferry_config_reader *reader, const struct ferry_yaml_node *node, const char *key,
                           const char *format, ...) FERRY_PRINTF(4, 5);
void ferry_config_warning_at(struct ferry_config_reader *reader, const struct ferry_yaml_node *node, const char *key,
                             const char *format, ...) FERRY_PRINTF(4, 5);

/* Does the map have that key, with a value? */
bool ferry_config_has(const struct ferry_yaml_node *node, const char *key);
/* `tenant` is a URL of https without a path (http only to loopback, or `insecure`). */
void ferry_config_check_tenant(struct ferry_config_reader *reader, const struct ferry_yaml_node *node,
                               const char *tenant, bool insecure);

/* A route that would start an automation at the end of that automation's own runs is refused. */
void ferry_config_check_loop(struct ferry_config_reader *reader, const struct ferry_yaml_node *node,
                             const struct ferry_automation_route *route);

/* A trigger that no route of the workers in this file takes starts nothing: warned of, unless there are no workers. */
void ferry_config_check_taken(struct ferry_config_reader *reader, const struct ferry_config *config);

/* Are the names in this list all different? */
struct ferry_config_names {
    const void *items;
    size_t count;
    size_t size;          /* of an item */
    size_t name_offset;   /* of its const char * */
    size_t place_offset;  /* of its struct ferry_place */
    const char *list_key; /* "routes" */
    const char *name_key; /* "name" */
};
void ferry_config_check_names(struct ferry_config_reader *reader, const struct ferry_config_names *names);

#endif
