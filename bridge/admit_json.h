/* Doors of `format: json`: the templates `type` and `id` over the request. */
#ifndef FERRY_BRIDGE_ADMIT_JSON_H
#define FERRY_BRIDGE_ADMIT_JSON_H

#include "bridge/admit.h"

/* Fills json_type, json_id and json_source of `input` from the door's templates over
 * {"headers":{lower-case name: value, …},"data":body}. Texts live in the arena. Fails with FERRY_JSON_INVALID when the
 * body is no JSON, with FERRY_EVENT_INVALID when a template finds nothing (the text names the hole), or FERRY_MEMORY.
 */
FERRY_NODISCARD enum ferry_code ferry_admit_json(struct ferry_admit_thread *thread, struct ferry_snapshot *snapshot,
                                                 const struct ferry_door *door, struct ferry_envelope_input *input,
                                                 struct ferry_arena *arena, struct ferry_error *error);

#endif
