#include "core/record.h"
#include "core/route.h"

enum ferry_code ferry_route_record(const struct ferry_topics_config *topics, const struct ferry_topic_set *set,
                                   const struct ferry_event *event, const struct ferry_record_marks *marks,
                                   struct ferry_arena *arena, struct ferry_record *record, struct ferry_error *error)
{
    struct ferry_slice topic, key;
    enum ferry_code code = ferry_route_topic(topics, event, arena, &topic, error);
    if (code != FERRY_OK)
        return code;
    if (!ferry_topic_set_has(set, topic))
        topic = ferry_slice_from(topics->other);
    code = ferry_route_key(topics, event, arena, &key, error);
    if (code != FERRY_OK)
        return code;
    return ferry_record_make(event, topic, key, topics->encoding, marks, arena, record, error);
}
