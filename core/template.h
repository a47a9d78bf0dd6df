/* Expressions and templates over an event (docs/contract.md, "Configuration"): jq by libjq.
 *
 * An expression is a jq program. A template is literal text with holes `\( … )`; Ferry splits literals and holes
 * itself, compiles all holes of a template as one jq array, and joins the results with the escaper of the destination.
 * Both see `.event`, every CloudEvents attribute, `.data` and `.resource` (`data.attributes` where that is an object,
 * else `data`).
 *
 * A compiled program belongs to one thread (a jq_state cannot be shared; 22 ms to compile, 12 µs an event): each
 * thread compiles its own from the source in the configuration. libjq cannot be interrupted: never on a thread that
 * polls Kafka. */
#ifndef FERRY_CORE_TEMPLATE_H
#define FERRY_CORE_TEMPLATE_H

#include "core/buffer.h"
#include "core/error.h"
#include "core/event.h"

/* How a hole's value is written into its place. */
enum ferry_escape {
    FERRY_ESCAPE_NONE,  /* plain text */
    FERRY_ESCAPE_HTML,  /* & < > " ' */
    FERRY_ESCAPE_URL,   /* one percent-encoded part; "", "." and ".." are refused */
    FERRY_ESCAPE_SLACK, /* & < > */
    FERRY_ESCAPE_HEADER /* CR, LF and NUL are refused */
};

/* What expressions see: made once an event and thread, used by all routes on that thread alone (reading it counts
 * references, without atomics). */
struct ferry_view;

/* Parses `data` with jq (integers beyond 2^53 as strings, so that no digit is lost; other numbers are doubles). Data
 * that is no JSON is a string where it is UTF-8, else its base64; none is null. Fails with FERRY_TOO_DEEP over a depth
 * of 256, FERRY_RECORD_INVALID when JSON data is not JSON. Borrows nothing afterwards. The caller frees. */
FERRY_NODISCARD enum ferry_code ferry_view_new(const struct ferry_event *event, struct ferry_view **out,
                                               struct ferry_error *error);
/* A view over any JSON text, as it stands: the request of a `format: json` door ({"headers":{…},"data":…}). Fails with
 * FERRY_TOO_DEEP or FERRY_JSON_INVALID. */
FERRY_NODISCARD enum ferry_code ferry_view_of_json(struct ferry_slice json, struct ferry_view **out,
                                                   struct ferry_error *error);
/* The view with more members at the top, each JSON text; a member that it has already stays as it is. The other view
 * is not changed. Fails with FERRY_JSON_INVALID or FERRY_MEMORY. The caller frees. */
FERRY_NODISCARD enum ferry_code ferry_view_with(const struct ferry_view *view, const struct ferry_pair *members,
                                                size_t count, struct ferry_view **out, struct ferry_error *error);
void ferry_view_free(struct ferry_view *view);

struct ferry_expression;
/* Fails with FERRY_CONFIG and jq's message (its "line N" relative to the source). `env`, `$ENV`, `input`, `inputs`,
 * `debug`, `stderr`, `halt` and modules are not available. The caller frees. */
FERRY_NODISCARD enum ferry_code ferry_expression_new(const char *source, struct ferry_expression **out,
                                                     struct ferry_error *error);
void ferry_expression_free(struct ferry_expression *expression);
/* Appends the first result as compact JSON text; integers beyond 2^53 that came in leave as strings of their digits.
 * No result at all is `null`. Fails with FERRY_TEMPLATE: jq's message, or that `out` has no room. */
FERRY_NODISCARD enum ferry_code ferry_expression_json(struct ferry_expression *expression,
                                                      const struct ferry_view *view, struct ferry_buffer *out,
                                                      struct ferry_error *error);
/* The first result is neither null nor false. */
FERRY_NODISCARD enum ferry_code ferry_expression_true(struct ferry_expression *expression,
                                                      const struct ferry_view *view, bool *out,
                                                      struct ferry_error *error);
/* Appends a string as it is, numbers and booleans as JSON text; `null` is reported in `is_null` and appends nothing;
 * objects and arrays fail with FERRY_TEMPLATE. */
FERRY_NODISCARD enum ferry_code ferry_expression_text(struct ferry_expression *expression,
                                                      const struct ferry_view *view, struct ferry_buffer *out,
                                                      bool *is_null, struct ferry_error *error);

struct ferry_template;
/* Fails with FERRY_CONFIG: an unclosed hole (which), jq's message with the hole that it is about, or a literal line
 * break where FERRY_ESCAPE_HEADER forbids it. */
FERRY_NODISCARD enum ferry_code ferry_template_new(const char *source, enum ferry_escape escape,
                                                   struct ferry_template **out, struct ferry_error *error);
void ferry_template_free(struct ferry_template *compiled);
/* Appends the text: strings as they are, anything else as compact JSON text, each escaped for its place. Fails with
 * FERRY_TEMPLATE (jq's message and the hole, or no room), FERRY_TEMPLATE_NULL (names the hole; "" in a URL too), or
 * FERRY_ADDRESS_INVALID where the escaper refuses a value. On failure nothing was appended. */
FERRY_NODISCARD enum ferry_code ferry_template_render(struct ferry_template *compiled, const struct ferry_view *view,
                                                      struct ferry_buffer *out, struct ferry_error *error);

#endif
