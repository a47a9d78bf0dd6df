/* An effect handed to the client, as HTTP or as a mail. */
#include "consumers/worker.h"

static enum ferry_code submit_http(struct ferry_client *client, const struct ferry_effect *effect,
                                   ferry_answer_fn *done, void *context, struct ferry_error *error)
{
    struct ferry_pair headers[FERRY_EFFECT_HEADERS];
    for (size_t i = 0; i < effect->header_count; i++)
        headers[i] =
            (struct ferry_pair){ferry_slice_from(effect->headers[i].name), ferry_slice_from(effect->headers[i].value)};
    const struct ferry_http_request request = {.method = effect->method,
                                               .url = effect->url,
                                               .headers = headers,
                                               .header_count = effect->header_count,
                                               .body = ferry_buffer_slice(&effect->body),
                                               .timeout_ms = effect->timeout_ms,
                                               .answer_max = effect->answer_max};
    return ferry_client_http(client, &request, done, context, error);
}

static enum ferry_code submit_mail(struct ferry_client *client, const struct ferry_effect *effect,
                                   ferry_answer_fn *done, void *context, struct ferry_error *error)
{
    const struct ferry_mail_request request = {.url = effect->smtp->url,
                                               .username = effect->smtp->username,
                                               .password = ferry_secret_slice(effect->smtp->password),
                                               .tls_required = effect->smtp->tls_required,
                                               .sender = effect->sender,
                                               .recipient = effect->recipient,
                                               .message = ferry_buffer_slice(&effect->body),
                                               .timeout_ms = effect->timeout_ms};
    return ferry_client_mail(client, &request, done, context, error);
}

enum ferry_code ferry_effect_submit(struct ferry_client *client, const struct ferry_effect *effect,
                                    ferry_answer_fn *done, void *context, struct ferry_error *error)
{
    return effect->smtp != NULL ? submit_mail(client, effect, done, context, error)
                                : submit_http(client, effect, done, context, error);
}
