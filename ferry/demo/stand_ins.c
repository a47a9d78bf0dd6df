#include "ferry/demo/stand_ins.h"

#include <jansson.h>
#include <stdlib.h>

enum { TEXT_BYTES = 64 * 1024 };

/* What a peer makes of a call: the status, the words for the inbox, and the body of the answer. */
struct visit {
    const struct ferry_stand_ins *stand_ins;
    const struct ferry_http_call *call;
    struct ferry_slice rest; /* of the path, after the peer's prefix */
    struct ferry_buffer text;
    const char *answer;
    const char *content_type;
};

static int refuse(struct visit *visit, int status, const char *answer)
{
    ferry_buffer_clear(&visit->text);
    ferry_buffer_printf(&visit->text, "refused with %d %s", status, answer);
    visit->answer = answer;
    return status;
}

static int slack(struct visit *visit)
{
    json_t *message = json_loadb(visit->call->body.ptr, visit->call->body.len, 0, NULL);
    const char *text = json_string_value(json_object_get(message, "text"));
    int status = 200;
    visit->content_type = "text/plain";
    visit->answer = "ok";
    if (message == NULL)
        status = refuse(visit, 400, "invalid_payload");
    else if (text == NULL || text[0] == '\0')
        status = refuse(visit, 400, "no_text");
    else
        ferry_buffer_add_text(&visit->text, text);
    json_decref(message);
    return status;
}

static bool is_json(struct ferry_slice body)
{
    json_t *value = json_loadb(body.ptr, body.len, JSON_DECODE_ANY, NULL);
    json_decref(value);
    return value != NULL;
}

static bool has_header(const struct visit *visit, const char *name, const char *value)
{
    return ferry_slice_is(ferry_pairs_get(visit->call->headers, name), value);
}

static int automation(struct visit *visit)
{
    struct ferry_slice body = visit->call->body;
    const char *slash = visit->rest.len > 0 ? memchr(visit->rest.ptr, '/', visit->rest.len) : NULL;
    if (slash == NULL || strcmp(slash, "/actions/execute") != 0)
        return refuse(visit, 404, "{\"errors\":[{\"title\":\"no such automation\"}]}");
    if (!has_header(visit, "X-Execution-Token", visit->stand_ins->execution_token))
        return refuse(visit, 401, "{\"errors\":[{\"title\":\"X-Execution-Token is missing or wrong\"}]}");
    if (!is_json(body))
        return refuse(visit, 400, "{\"errors\":[{\"title\":\"the body is not JSON\"}]}");
    ferry_buffer_printf(&visit->text, "run with %.*s", FERRY_SLICE_ARGS(body));
    visit->answer = "{\"result\":\"done\"}";
    return 200;
}

static int crm(struct visit *visit)
{
    struct ferry_slice body = visit->call->body;
    if (!has_header(visit, "Authorization", visit->stand_ins->crm_authorization))
        return refuse(visit, 401, "{\"error\":\"Authorization is missing or wrong\"}");
    if (!is_json(body))
        return refuse(visit, 400, "{\"error\":\"the body is not JSON\"}");
    ferry_buffer_printf(&visit->text, "%s %s %.*s", visit->call->method, visit->call->path, FERRY_SLICE_ARGS(body));
    visit->answer = "{}";
    return 200;
}

static const struct peer {
    const char *method;
    const char *prefix;
    enum ferry_place_reached place;
    int (*visit)(struct visit *visit);
} peers[] = {
    {"POST", "/services/", FERRY_REACHED_SLACK, slack},
    {"POST", "/api/v1/automations/", FERRY_REACHED_AUTOMATION, automation},
    {"PATCH", "/users/", FERRY_REACHED_CRM, crm},
};

static void answer_peer(const struct ferry_stand_ins *stand_ins, const struct peer *peer,
                        const struct ferry_http_call *call, struct ferry_http_reply *reply)
{
    struct visit visit = {
        .stand_ins = stand_ins,
        .call = call,
        .rest = ferry_slice_from(call->path + strlen(peer->prefix)),
        .content_type = "application/json",
    };
    ferry_buffer_init(&visit.text, TEXT_BYTES);
    reply->status = peer->visit(&visit);
    reply->content_type = visit.content_type;
    ferry_buffer_add_text(&reply->body, visit.answer);
    ferry_inbox_add(stand_ins->inbox, peer->place, reply->status == 200, ferry_buffer_slice(&visit.text), call->body);
    ferry_buffer_done(&visit.text);
}

void ferry_stand_ins_answer(void *context, const struct ferry_http_call *call, struct ferry_http_reply *reply)
{
    const struct ferry_stand_ins *stand_ins = context;
    if (strcmp(call->path, "/") == 0 && strcmp(call->method, "GET") == 0) {
        reply->status = 200;
        reply->content_type = "text/plain; charset=utf-8";
        ferry_inbox_print(stand_ins->inbox, &reply->body);
        return;
    }
    for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++) {
        if (strcmp(call->method, peers[i].method) == 0 &&
            ferry_slice_starts(ferry_slice_from(call->path), peers[i].prefix)) {
            answer_peer(stand_ins, &peers[i], call, reply);
            return;
        }
    }
    reply->status = 404;
}

enum ferry_code ferry_stand_ins_start(struct ferry_stand_ins *stand_ins, struct ferry_error *error)
{
    const struct ferry_address address = {.text = "127.0.0.1:0", .host = "127.0.0.1", .port = 0};
    return ferry_listener_start(&address, ferry_stand_ins_answer, stand_ins, &stand_ins->listener, error);
}

uint16_t ferry_stand_ins_port(const struct ferry_stand_ins *stand_ins)
{
    return ferry_listener_port(stand_ins->listener);
}

void ferry_stand_ins_stop(struct ferry_stand_ins *stand_ins)
{
    if (stand_ins->listener != NULL)
        ferry_listener_stop(stand_ins->listener);
    stand_ins->listener = NULL;
}
