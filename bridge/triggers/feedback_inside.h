/* The inside of bridge/triggers/feedback*.c. */
#ifndef FERRY_BRIDGE_TRIGGERS_FEEDBACK_INSIDE_H
#define FERRY_BRIDGE_TRIGGERS_FEEDBACK_INSIDE_H

#include "bridge/triggers/feedback.h"

/* Appends JSON (checked) as a tree that opens and closes; text that is no JSON, or would become too large, as it is. At
 * most about `max_bytes`; false if something was left out. */
FERRY_NODISCARD bool ferry_feedback_tree(struct ferry_slice json, size_t max_bytes, struct ferry_buffer *out);
/* Appends text in a <pre>, in the same way. */
FERRY_NODISCARD bool ferry_feedback_text(struct ferry_slice text, size_t max_bytes, struct ferry_buffer *out);

/* The page as an answer: 200. */
void ferry_feedback_answer_page(const struct ferry_trigger_call *call, const struct ferry_run *run,
                                struct ferry_response *answer);

/* The run's address as this page's own origin has it: `run_url` without scheme and host. */
const char *ferry_feedback_path(const struct ferry_trigger_call *call);
struct ferry_slice ferry_feedback_id(const struct ferry_trigger_call *call);
/* "queued" while nothing is known. */
enum ferry_run_state ferry_feedback_state(const struct ferry_run *run);
bool ferry_feedback_is_final(const struct ferry_run *run);

#endif
