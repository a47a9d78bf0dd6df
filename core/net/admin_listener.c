/* The three pages that every program has: alive, ready, metrics. */
#include <stdlib.h>

#include "core/net/listener.h"

enum { WHY_BYTES = 512 };

static void answer_health(const struct ferry_admin *admin, struct ferry_http_reply *reply)
{
    (void)admin;
    ferry_buffer_add_text(&reply->body, "ok\n");
}

static void answer_ready(const struct ferry_admin *admin, struct ferry_http_reply *reply)
{
    char why[WHY_BYTES] = "";
    bool ready = admin->ready == NULL || admin->ready(admin->context, why, sizeof why);
    reply->status = ready ? 200 : 503;
    ferry_buffer_add_text(&reply->body, ready ? "ready" : "not ready");
    if (why[0] != '\0')
        ferry_buffer_printf(&reply->body, ": %s", why);
    ferry_buffer_add_char(&reply->body, '\n');
}

static void answer_metrics(const struct ferry_admin *admin, struct ferry_http_reply *reply)
{
    reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
    if (admin->metrics != NULL)
        ferry_metrics_print(admin->metrics, &reply->body);
}

static const struct page {
    const char *path;
    void (*answer)(const struct ferry_admin *admin, struct ferry_http_reply *reply);
} pages[] = {
    {"/healthz", answer_health},
    {"/readyz", answer_ready},
    {"/metrics", answer_metrics},
};

static const struct page *find_page(const char *path)
{
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++)
        if (strcmp(pages[i].path, path) == 0)
            return &pages[i];
    return NULL;
}

static void handle(void *context, const struct ferry_http_call *call, struct ferry_http_reply *reply)
{
    const struct ferry_admin *admin = context;
    const struct page *page = find_page(call->path);
    if (page == NULL) {
        if (admin->more != NULL)
            admin->more(admin->more_context, call, reply);
        return;
    }
    reply->content_type = "text/plain; charset=utf-8";
    if (strcmp(call->method, "GET") != 0 && strcmp(call->method, "HEAD") != 0) {
        reply->status = 405;
        ferry_buffer_add_text(&reply->headers, "Allow: GET, HEAD\n");
        ferry_buffer_add_text(&reply->body, "only GET and HEAD\n");
        return;
    }
    reply->status = 200;
    page->answer(admin, reply);
}

enum ferry_code ferry_admin_listener_start(const struct ferry_address *address, const struct ferry_admin *admin,
                                           struct ferry_listener **out, struct ferry_error *error)
{
    struct ferry_admin *copy = malloc(sizeof *copy);
    if (copy == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    *copy = *admin;
    struct ferry_listener *listener;
    enum ferry_code code = ferry_listener_start(address, handle, copy, &listener, error);
    if (code != FERRY_OK) {
        free(copy);
        return code;
    }
    ferry_listener_keep(listener, copy);
    *out = listener;
    return FERRY_OK;
}
