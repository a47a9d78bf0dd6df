/* The Slack channel: incoming webhooks and chat.postMessage. What of it is pure stands here, for its tests. */
#ifndef FERRY_CONSUMERS_SLACK_H
#define FERRY_CONSUMERS_SLACK_H

#include "consumers/worker.h"

/* Slack's limits: characters of a message's text, of a section's, of a field's, of a header block's; blocks. */
enum {
    FERRY_SLACK_TEXT = 40000,
    FERRY_SLACK_SECTION = 3000,
    FERRY_SLACK_FIELD = 2000,
    FERRY_SLACK_HEADER = 150,
    FERRY_SLACK_BLOCKS = 50
};

/* The text, or as much of it as makes `max` characters together with an ellipsis; never half a character, and never
 * half of &amp; &lt; &gt;. Appended. */
void ferry_slack_cut(struct ferry_slice text, size_t max, struct ferry_buffer *out);

/* How many bytes of the text are at most `max` characters, without half a character or entity at the end. */
size_t ferry_slack_fit(struct ferry_slice text, size_t max);

/* What the event brings stays text in blocks (inert.c): the event's JSON text as a blocks program sees it, and what
 * comes out of the program as it is to be sent. */
void ferry_slack_mark(struct ferry_slice json, struct ferry_buffer *out);
struct json_t;
void ferry_slack_unmark(struct json_t *value);

/* The blocks (JSON text of what the program yielded over a marked event), unmarked, within Slack's limits. Nothing is
 * appended for `null`. Fails with FERRY_TEMPLATE when they are not an array of objects. */
FERRY_NODISCARD enum ferry_code ferry_slack_blocks(struct ferry_slice json, struct ferry_buffer *out,
                                                   struct ferry_error *error);

/* The body of the request. `channel` NULL: an incoming webhook; `blocks` absent: none. */
void ferry_slack_message(const char *channel, struct ferry_slice text, struct ferry_slice blocks,
                         struct ferry_buffer *out);

/* Digests (join.c): what a message of ours takes up of Slack's limits, whether one message holds as much, and several
 * as one. `out` is failed when memory ran out. */
struct ferry_load ferry_slack_weigh(struct ferry_slice body);
bool ferry_slack_fits(const struct ferry_load *load);
void ferry_slack_join(const struct ferry_slice *bodies, size_t count, struct ferry_buffer *out);

/* What Slack's answer means: by its word first, by the status second. `is_api`: of chat.postMessage, which answers 200
 * with {"ok":false,"error":"…"}. */
void ferry_slack_classify(const struct ferry_answer *answer, bool is_api, struct ferry_verdict *verdict);

#endif
