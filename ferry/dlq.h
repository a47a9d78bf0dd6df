/* `ferry dlq` inside: what its actions have in common. Which letters there are: core/survey/dlq.h. */
#ifndef FERRY_DLQ_H
#define FERRY_DLQ_H

#include "core/survey/dlq.h"

/* ---- the actions; each returns an exit code ---- */

struct ferry_dlq_request {
    const char *config;
    const char *const *arguments; /* all of them, for the journal */
    size_t argument_count;
    struct ferry_dlq_filter filter;
    bool json;
    bool dry_run;
    bool yes;
    bool unmasked;
};
int ferry_dlq_list(struct ferry_dlq *dlq, const struct ferry_dlq_request *request);
int ferry_dlq_show(struct ferry_dlq *dlq, const struct ferry_dlq_request *request);
int ferry_dlq_redrive(struct ferry_dlq *dlq, const struct ferry_dlq_request *request);
int ferry_dlq_drop(struct ferry_dlq *dlq, const struct ferry_dlq_request *request);

/* Why a letter cannot be redriven, or NULL. Pure. */
const char *ferry_dlq_refusal(const struct ferry_dlq *dlq, const struct ferry_letter *letter);
/* Appends JSON text with line breaks and indents, every other byte as it stands; what is no JSON, as it stands. */
void ferry_dlq_print_pretty(struct ferry_slice text, struct ferry_buffer *out);
/* One letter as a JSON object, without its end. */
void ferry_dlq_print_letter(const struct ferry_dlq *dlq, const struct ferry_letter *letter, struct ferry_buffer *out);

#endif
