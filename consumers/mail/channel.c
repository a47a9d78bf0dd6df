#include <stdlib.h>

#include "consumers/mail/mail.h"
#include "core/clock.h"
#include "core/mask.h"

enum { TIMEOUT_MS = 60000 };

struct ferry_channel_route {
    const struct ferry_mail_config *config;
    struct ferry_slice from_name;
    struct ferry_slice from;
    struct ferry_expression *to;
    struct ferry_template *subject;
    struct ferry_template *text;
    struct ferry_template *html; /* NULL: none */
};

static const struct ferry_worker_config *worker(const struct ferry_config *config)
{
    return &config->mail.worker;
}

static size_t route_count(const struct ferry_config *config)
{
    return config->mail.route_count;
}

static const struct ferry_route_config *route(const struct ferry_config *config, size_t index)
{
    return &config->mail.routes[index].common;
}

static const char *ca_file(const struct ferry_config *config)
{
    return config->mail.smtp.ca != NULL ? config->mail.smtp.ca : config->ca;
}

/* ---- routes ---- */

static void route_free(struct ferry_channel_route *mail)
{
    ferry_expression_free(mail->to);
    ferry_template_free(mail->subject);
    ferry_template_free(mail->text);
    ferry_template_free(mail->html);
    free(mail);
}

static enum ferry_code compile(struct ferry_channel_route *mail, const struct ferry_mail_route *config,
                               struct ferry_error *error)
{
    enum ferry_code code = ferry_expression_new(config->to.text, &mail->to, error);
    if (code == FERRY_OK)
        code = ferry_template_new(config->subject.text, FERRY_ESCAPE_HEADER, &mail->subject, error);
    if (code == FERRY_OK)
        code = ferry_template_new(config->text.text, FERRY_ESCAPE_NONE, &mail->text, error);
    if (code == FERRY_OK && config->html.text != NULL)
        code = ferry_template_new(config->html.text, FERRY_ESCAPE_HTML, &mail->html, error);
    return code;
}

static enum ferry_code route_new(const struct ferry_config *config, size_t index, struct ferry_channel_route **out,
                                 struct ferry_error *error)
{
    struct ferry_channel_route *mail = calloc(1, sizeof *mail);
    if (mail == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    mail->config = &config->mail;
    enum ferry_code code = FERRY_OK;
    if (!ferry_mail_split(ferry_slice_from(config->mail.from), &mail->from_name, &mail->from))
        code = ferry_fail(error, FERRY_CONFIG, "mail.from: allowed is: Name <address@example.com>");
    if (code == FERRY_OK)
        code = compile(mail, &config->mail.routes[index], error);
    if (code == FERRY_OK)
        *out = mail;
    else
        route_free(mail);
    return code;
}

/* ---- an event ---- */

/* The recipient, or a skip: an event without one is nobody's mistake (a bot user has no address). */
static enum ferry_code find_recipient(struct ferry_channel_route *mail, const struct ferry_view *view,
                                      struct ferry_buffer *to, bool *skip, struct ferry_error *error)
{
    bool is_null = false;
    enum ferry_code code = ferry_expression_text(mail->to, view, to, &is_null, error);
    if (code != FERRY_OK)
        return code;
    *skip = is_null || to->len == 0;
    if (*skip) {
        ferry_fail(error, FERRY_OK, "no address");
        return FERRY_OK;
    }
    return ferry_mail_check_recipient(ferry_buffer_slice(to), mail->config->recipient_domains, error);
}

struct rendered {
    struct ferry_buffer subject;
    struct ferry_buffer text;
    struct ferry_buffer html;
};

static void rendered_init(struct rendered *rendered)
{
    ferry_buffer_init(&rendered->subject, 16 * 1024);
    ferry_buffer_init(&rendered->text, FERRY_EFFECT_BODY_MAX);
    ferry_buffer_init(&rendered->html, FERRY_EFFECT_BODY_MAX);
}

static void rendered_done(struct rendered *rendered)
{
    ferry_buffer_done(&rendered->subject);
    ferry_buffer_done(&rendered->text);
    ferry_buffer_done(&rendered->html);
}

static enum ferry_code render_texts(struct ferry_channel_route *mail, const struct ferry_view *view,
                                    struct rendered *rendered, struct ferry_error *error)
{
    enum ferry_code code = ferry_template_render(mail->subject, view, &rendered->subject, error);
    if (code == FERRY_OK)
        code = ferry_template_render(mail->text, view, &rendered->text, error);
    if (code == FERRY_OK && mail->html != NULL)
        code = ferry_template_render(mail->html, view, &rendered->html, error);
    return code;
}

/* The envelope: bare addresses. */
static enum ferry_code address(const struct ferry_channel_route *mail, struct ferry_slice to,
                               struct ferry_effect *effect, struct ferry_error *error)
{
    effect->smtp = &mail->config->smtp;
    effect->timeout_ms = TIMEOUT_MS;
    effect->sender = strndup(mail->from.ptr, mail->from.len);
    effect->recipient = strndup(to.ptr, to.len);
    if (effect->sender == NULL || effect->recipient == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    return FERRY_OK;
}

static enum ferry_code render(struct ferry_channel_route *mail, const struct ferry_event *event,
                              const struct ferry_view *view, const char *effect_key, struct ferry_effect *effect,
                              bool *skip, struct ferry_error *error)
{
    (void)event;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer to;
    FERRY_CLEANUP(rendered_done) struct rendered rendered;
    ferry_buffer_init(&to, 1024);
    rendered_init(&rendered);
    enum ferry_code code = find_recipient(mail, view, &to, skip, error);
    if (code != FERRY_OK || *skip)
        return code;
    code = render_texts(mail, view, &rendered, error);
    if (code != FERRY_OK)
        return code;
    const struct ferry_mail message = {
        .from_name = mail->from_name,
        .from = mail->from,
        .to = ferry_buffer_slice(&to),
        .subject = ferry_buffer_slice(&rendered.subject),
        .text = ferry_buffer_slice(&rendered.text),
        .html = mail->html != NULL ? ferry_buffer_slice(&rendered.html) : (struct ferry_slice){0},
        .effect_key = effect_key,
        .date_ms = ferry_clock_wall_ms(),
    };
    code = ferry_mail_message(&message, &effect->body, error);
    return code == FERRY_OK ? address(mail, message.to, effect, error) : code;
}

/* ---- its caps ---- */

/* In lower case, so that all who mean the same share a cap. Those without a key share one as well. */
static void set_limit(struct ferry_limit *limit, const char *name, struct ferry_rate rate, struct ferry_slice key)
{
    *limit = (struct ferry_limit){.name = name, .rate = rate};
    for (size_t i = 0; i < key.len && i + 1 < sizeof limit->key; i++)
        limit->key[i] = (char)(key.ptr[i] >= 'A' && key.ptr[i] <= 'Z' ? key.ptr[i] | 0x20 : key.ptr[i]);
}

static size_t limits(const struct ferry_config *config, size_t index, const struct ferry_event *event,
                     const struct ferry_effect *effect, struct ferry_limit out[FERRY_LIMITS])
{
    (void)index;
    const struct ferry_mail_caps *caps = &config->mail.caps;
    size_t count = 0;
    if (caps->per_domain.events > 0)
        set_limit(&out[count++], "domain", caps->per_domain, ferry_mail_domain(ferry_slice_from(effect->recipient)));
    if (caps->per_tenant.events > 0)
        set_limit(&out[count++], "tenant", caps->per_tenant, ferry_event_extension(event, "tenantid"));
    return count;
}

/* ---- its answer ---- */

void ferry_mail_classify(const struct ferry_answer *answer, struct ferry_verdict *verdict)
{
    ferry_verdict_by_status(answer, verdict); /* NOT_SENT, IN_DOUBT and 2xx mean the same here */
    if (answer->exchange != FERRY_EXCHANGE_ANSWERED || verdict->outcome == FERRY_OUTCOME_DONE)
        return;
    char reply[160];
    ferry_mask_addresses(answer->body, reply, sizeof reply);
    bool permanent = answer->status >= 500;
    ferry_verdict_set(verdict, permanent ? FERRY_OUTCOME_DEAD : FERRY_OUTCOME_RETRY,
                      permanent ? FERRY_SMTP_REFUSED : FERRY_SMTP_BUSY, "SMTP %d: %s", answer->status, reply);
}

static void settle(const struct ferry_config *config, size_t index, const struct ferry_answer *answer,
                   struct ferry_effect *effect, struct ferry_verdict *verdict)
{
    (void)config, (void)index, (void)effect;
    ferry_mail_classify(answer, verdict);
}

const struct ferry_channel ferry_mail_channel = {
    .name = "mail",
    .program = "ferry-mail",
    .section = FERRY_SECTION_MAIL,
    .intends = true,
    .worker = worker,
    .route_count = route_count,
    .route = route,
    .ca_file = ca_file,
    .limits = limits,
    .route_new = route_new,
    .route_free = route_free,
    .render = render,
    .settle = settle,
};
