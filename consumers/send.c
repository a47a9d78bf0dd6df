/* A record handed to the producer: apart, so that a test can be the producer. */
#include "consumers/engine.h"

enum ferry_code ferry_engine_send(struct ferry_engine *engine, const struct ferry_record *record, int32_t partition,
                                  struct ferry_task *task, struct ferry_error *error)
{
    pthread_mutex_lock(&engine->producer_lock);
    enum ferry_code code = engine->producer != NULL
                               ? ferry_producer_send_to(engine->producer, record, partition, task, error)
                               : ferry_fail(error, FERRY_KAFKA_FATAL, "there is no producer at this moment");
    pthread_mutex_unlock(&engine->producer_lock);
    return code;
}
