#include "ferry/sender.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"

enum { HEADERS = 32, LINES_BYTES = 16 * 1024, ANSWER_BYTES = 64 * 1024, TIMEOUT_MS = 30000 };

/* The lines "Name: value\n" as pairs; they point into `lines`. */
static size_t add_lines(struct ferry_slice lines, struct ferry_pair *pairs, size_t count)
{
    while (lines.len > 0 && count < HEADERS) {
        const char *end = memchr(lines.ptr, '\n', lines.len);
        const char *colon = memchr(lines.ptr, ':', lines.len);
        struct ferry_slice line = ferry_slice_of(lines.ptr, (size_t)(end - lines.ptr));
        size_t name_len = (size_t)(colon - lines.ptr);
        pairs[count].name = ferry_slice_of(line.ptr, name_len);
        pairs[count++].value = ferry_slice_trim(ferry_slice_skip(line, name_len + 1));
        lines = ferry_slice_skip(lines, line.len + 1);
    }
    return count;
}

static enum ferry_code sign(const struct ferry_sender *sender, struct ferry_slice body, bool forged,
                            struct ferry_buffer *lines, struct ferry_error *error)
{
    static char other_token[] = "forged";
    struct ferry_secret secret = sender->secret;
    if (forged) {
        body = FERRY_SLICE("{\"this\":\"is not what is sent\"}");
        if (sender->scheme == FERRY_SIGNATURE_BEARER)
            secret = (struct ferry_secret){other_token, strlen(other_token)};
    }
    char id[64];
    snprintf(id, sizeof id, "msg_%lld", (long long)ferry_clock_mono_ms());
    return ferry_signature_make(sender->scheme, &secret, body, ferry_clock_wall_ms(), id, lines, error);
}

struct wait {
    struct ferry_sent *sent;
    sem_t answered;
};

static void take_answer(void *context, const struct ferry_answer *answer)
{
    struct wait *wait = context;
    wait->sent->milliseconds = answer->seconds * 1000;
    wait->sent->status = answer->exchange == FERRY_EXCHANGE_ANSWERED ? answer->status : 0;
    if (wait->sent->status != 0)
        ferry_buffer_add(&wait->sent->body, answer->body);
    else if (answer->reason != NULL)
        ferry_buffer_add_text(&wait->sent->body, answer->reason);
    sem_post(&wait->answered);
}

static enum ferry_code exchange(struct ferry_client *client, const struct ferry_http_request *request,
                                struct ferry_sent *sent, struct ferry_error *error)
{
    struct ferry_sent got = {.began_ms = ferry_clock_mono_ms()};
    struct wait wait = {.sent = &got};
    ferry_buffer_init(&got.body, ANSWER_BYTES);
    sem_init(&wait.answered, 0, 0);
    enum ferry_code code = ferry_client_http(client, request, take_answer, &wait, error);
    while (code == FERRY_OK && sem_wait(&wait.answered) != 0 && errno == EINTR)
        continue;
    sem_destroy(&wait.answered);
    if (code == FERRY_OK)
        *sent = got;
    else
        ferry_sent_done(&got);
    return code;
}

enum ferry_code ferry_sender_post(const struct ferry_sender *sender, struct ferry_slice body, bool forged,
                                  struct ferry_sent *sent, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer lines;
    ferry_buffer_init(&lines, LINES_BYTES);
    enum ferry_code code = sign(sender, body, forged, &lines, error);
    if (code != FERRY_OK)
        return code;
    struct ferry_pair headers[HEADERS] = {{FERRY_SLICE("Content-Type"), FERRY_SLICE("application/json")}};
    size_t count = add_lines(ferry_buffer_slice(&lines), headers, 1);
    for (size_t i = 0; i < sender->header_count && count < HEADERS; i++)
        headers[count++] = (struct ferry_pair){ferry_slice_from(sender->headers[i].name),
                                               ferry_secret_slice(sender->headers[i].value)};
    struct ferry_http_request request = {.method = "POST",
                                         .url = sender->url,
                                         .headers = headers,
                                         .header_count = count,
                                         .body = body,
                                         .timeout_ms = TIMEOUT_MS};
    code = exchange(sender->client, &request, sent, error);
    if (lines.ptr != NULL)
        explicit_bzero(lines.ptr, lines.len); /* a bearer token */
    return code;
}

enum ferry_code ferry_sender_get(struct ferry_client *client, const char *url, struct ferry_sent *sent,
                                 struct ferry_error *error)
{
    struct ferry_http_request request = {.method = "GET", .url = url, .timeout_ms = TIMEOUT_MS};
    return exchange(client, &request, sent, error);
}

void ferry_sent_done(struct ferry_sent *sent)
{
    ferry_buffer_done(&sent->body);
}
