/* Whatever stands in the results topic: it is refused, or shown as text that a page, a line of JSON and an event stream
 * can hold. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "bridge/triggers/feedback.h"
#include "core/json.h"

enum { OUT_MAX = 8 << 20 };

static void check(bool good)
{
    if (!good)
        abort();
}

static void check_json(const struct ferry_trigger_call *call, const struct ferry_run *run)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    struct ferry_json value;
    ferry_buffer_init(&out, OUT_MAX);
    ferry_feedback_json(call, run, &out);
    check(!out.failed && memchr(out.ptr, '\n', out.len) == NULL && memchr(out.ptr, '\r', out.len) == NULL);
    check(ferry_json_scan(ferry_buffer_slice(&out), &arena, &value, NULL, NULL) == FERRY_OK);
}

/* No tag but ours: the marks that we made in the input do not come out as tags. */
static void check_page(const struct ferry_trigger_call *call, const struct ferry_run *run)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    ferry_buffer_init(&out, OUT_MAX);
    ferry_feedback_page(call, run, &out);
    check(!out.failed && memmem(out.ptr, out.len, "<script", 7) == NULL && memmem(out.ptr, out.len, "<img", 4) == NULL);
}

static void check_event(const struct ferry_trigger_call *call, const struct ferry_run *run)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    ferry_buffer_init(&out, OUT_MAX);
    ferry_feedback_event(call, run, true, &out);
    check(!out.failed && memchr(out.ptr, '\r', out.len) == NULL);
    for (const char *line = out.ptr, *end; line < out.ptr + out.len; line = end + 1) {
        end = memchr(line, '\n', (size_t)(out.ptr + out.len - line));
        check(end != NULL);
        struct ferry_slice text = ferry_slice_of(line, (size_t)(end - line));
        check(text.len == 0 || ferry_slice_starts(text, "event: ") || ferry_slice_starts(text, "id: ") ||
              ferry_slice_starts(text, "data: "));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ferry_trigger_config config = {.name = "nightly"};
    static struct ferry_trigger trigger = {.config = &config};
    struct ferry_trigger_call call = {.trigger = &trigger, .id = "0123", .run_url = "/triggers/nightly/runs/0123/x"};
    struct ferry_results *results = ferry_results_new(NULL);
    const struct ferry_record record = {.value = ferry_slice_of((const char *)data, size)};
    struct ferry_run_result *news = NULL;
    if (results != NULL && ferry_run_result_read(&record, &news, NULL) == FERRY_OK) {
        check(ferry_results_learn(results, &record, 0, NULL) == FERRY_OK);
        struct ferry_run *run = ferry_results_get(results, news->id);
        check(run != NULL);
        check_json(&call, run);
        check_page(&call, run);
        check_event(&call, run);
        ferry_run_drop(run);
        ferry_run_result_drop(news);
    }
    ferry_results_free(results);
    return 0;
}
