/* The automation channel: Qlik automations by their execution token, and HTTP calls to systems of record. */
#ifndef FERRY_CONSUMERS_AUTOMATION_H
#define FERRY_CONSUMERS_AUTOMATION_H

#include "consumers/worker.h"

enum {
    FERRY_QLIK_BODY_MAX = 60 * 1024, /* Qlik takes 64 KB; above this the data are left out */
    FERRY_QLIK_QUEUE_FULL_TRIES = 8  /* so many answers of 400 are taken for a full queue, the next for a refusal */
};

/* ---- body.c ---- */

/* `input` or `json`, compiled: one expression, or members, or neither. */
struct ferry_body_program {
    struct ferry_expression *whole;
    struct ferry_body_member {
        const char *name; /* borrowed from the configuration */
        struct ferry_expression *value;
    } * members;
    size_t member_count;
};

/* Fails with FERRY_CONFIG or FERRY_MEMORY; may be done all the same. */
FERRY_NODISCARD enum ferry_code ferry_body_compile(const struct ferry_mapping *mapping,
                                                   struct ferry_body_program *program, struct ferry_error *error);
void ferry_body_done(struct ferry_body_program *program);
bool ferry_body_is_empty(const struct ferry_body_program *program);
/* Appends the JSON text that the program yields. */
FERRY_NODISCARD enum ferry_code ferry_body_render(const struct ferry_body_program *program,
                                                  const struct ferry_view *view, struct ferry_buffer *out,
                                                  struct ferry_error *error);
/* Appends the event's data: JSON as it came, byte for byte; text as a JSON string, other bytes as {"data_base64":"…"},
 * nothing as {}. */
void ferry_body_data(const struct ferry_event *event, struct ferry_buffer *out);
/* Appends what stands for data that are too large: the event without them, and a note. */
void ferry_body_note(const struct ferry_event *event, size_t bytes, struct ferry_buffer *out);

/* ---- qlik.c ---- */

struct ferry_qlik_route;
FERRY_NODISCARD enum ferry_code ferry_qlik_new(const struct ferry_automation_route *config,
                                               struct ferry_qlik_route **out, struct ferry_error *error);
void ferry_qlik_free(struct ferry_qlik_route *route);
FERRY_NODISCARD enum ferry_code ferry_qlik_render(struct ferry_qlik_route *route, const struct ferry_event *event,
                                                  const struct ferry_view *view, struct ferry_effect *effect,
                                                  struct ferry_error *error);

/* ---- run.c ---- */

/* What Qlik's answer means: to the execution, to a login, or to a look at the run, by effect->step. */
void ferry_qlik_settle(const struct ferry_qlik_call *call, enum ferry_in_doubt in_doubt,
                       const struct ferry_answer *answer, struct ferry_effect *effect, struct ferry_verdict *verdict);

/* ---- request.c ---- */

struct ferry_request_route;
FERRY_NODISCARD enum ferry_code ferry_request_new(const struct ferry_automation_route *config,
                                                  struct ferry_request_route **out, struct ferry_error *error);
void ferry_request_free(struct ferry_request_route *route);
FERRY_NODISCARD enum ferry_code ferry_request_render(struct ferry_request_route *route, const struct ferry_event *event,
                                                     const struct ferry_view *view, const char *effect_key,
                                                     struct ferry_effect *effect, struct ferry_error *error);
/* What the answer means: `accept` decides what is done. */
void ferry_request_settle(const struct ferry_request_call *call, enum ferry_in_doubt in_doubt,
                          const struct ferry_answer *answer, struct ferry_verdict *verdict);

/* ---- channel.c ---- */

/* In doubt, the way the configuration wants it: parked as it is, or tried again as a possible repeat. */
void ferry_automation_doubt(enum ferry_in_doubt in_doubt, struct ferry_verdict *verdict);

#endif
