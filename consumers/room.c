/* Room under the caps: for all of an effect's caps at once, or for none. */
#include "consumers/backoff.h"
#include "consumers/engine.h"
#include "core/clock.h"
#include "core/log.h"

/* Who waits asks again at least so often: others may have given up their turn. */
enum { ASK_AGAIN_MS = 60000 };

static void wait_for(struct ferry_task *task, struct ferry_cap *cap, const struct ferry_limit *limit)
{
    if (cap->waiting == 0)
        ferry_log(FERRY_LOG_INFO, "a cap is reached, what is over it waits",
                  FERRY_FIELDS(ferry_text("cap", limit->name), ferry_text("of", limit->key),
                               ferry_number("events", limit->rate.events),
                               ferry_number("window_seconds", limit->rate.window_ms / 1000)));
    task->turned_away = cap;
    cap->waiting++;
    ferry_series_add(cap->gauge, 1);
}

void ferry_task_forgo_room(struct ferry_task *task)
{
    if (task->turned_away == NULL)
        return;
    task->turned_away->waiting--;
    ferry_series_add(task->turned_away->gauge, (uint64_t)-1);
    task->turned_away = NULL;
}

static struct ferry_cap *cap_of(struct ferry_engine *engine, const struct ferry_limit *limit, uint64_t *id)
{
    *id = ferry_cap_id(limit->name, ferry_slice_from(limit->key));
    struct ferry_cap *cap = ferry_caps_get(&engine->caps, *id);
    if (cap != NULL && cap->gauge == NULL)
        cap->gauge = ferry_report_cap(engine, limit->name);
    return cap;
}

enum ferry_code ferry_task_take_room(struct ferry_engine *engine, struct ferry_task *task,
                                     const struct ferry_limit *limits, size_t count, int64_t now_ms, int64_t *until_ms)
{
    struct ferry_cap *caps[FERRY_LIMITS];
    size_t latest = count;
    int64_t free_ms = now_ms;
    ferry_task_forgo_room(task);
    ferry_caps_tidy(&engine->caps, now_ms);
    for (size_t i = 0; i < count; i++) {
        caps[i] = cap_of(engine, &limits[i], &task->caps[i]);
        if (caps[i] == NULL)
            return FERRY_MEMORY;
        int64_t room_ms = ferry_cap_room(caps[i], limits[i].rate, now_ms);
        if (room_ms > free_ms) {
            free_ms = room_ms;
            latest = i;
        }
    }
    task->cap_count = count;
    if (latest < count && task->row != NULL) {
        *until_ms = ferry_cap_promise(caps[latest], limits[latest].rate, now_ms);
        return FERRY_OK;
    }
    if (latest < count) {
        wait_for(task, caps[latest], &limits[latest]);
        *until_ms = free_ms < now_ms + ASK_AGAIN_MS ? free_ms : now_ms + ASK_AGAIN_MS;
        return FERRY_OK;
    }
    enum ferry_code code = FERRY_OK;
    for (size_t i = 0; i < count && code == FERRY_OK; i++)
        code = ferry_cap_take(caps[i], now_ms);
    return code;
}

void ferry_task_close_caps(struct ferry_engine *engine, const struct ferry_task *task, int64_t for_ms)
{
    if (for_ms > FERRY_RETRY_AFTER_MAX_MS)
        for_ms = FERRY_RETRY_AFTER_MAX_MS;
    int64_t until_ms = ferry_clock_mono_ms() + for_ms;
    for (size_t i = 0; i < task->cap_count; i++) {
        struct ferry_cap *cap = ferry_caps_find(&engine->caps, task->caps[i]);
        if (cap != NULL && until_ms > cap->blocked_ms)
            cap->blocked_ms = until_ms;
    }
}
