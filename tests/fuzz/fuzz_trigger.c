/* Requests under /triggers/, from the head to the answer or the record, as the HTTP layer hands them over: a request
 * line, fields, an empty line, a body. Whatever comes, an answer names no configured key and holds nothing of HTML that
 * the request brought; a record's value is one JSON object. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bridge/triggers/trigger.h"
#include "core/json.h"

#define OFFICE "0123456789abcdef0123456789abcdef"
#define IFTTT "ifttt-key-0123456789abcdef"
#define MARK "<x9" /* in a request; on a page only escaped */

enum { FIELDS = 16 };

static const char yaml[] = "kafka: {bootstrap.servers: '127.0.0.1:9'}\n"
                           "bridge:\n"
                           "  public_url: https://ferry.example.com/in/\n"
                           "  triggers:\n"
                           "    - name: nightly\n"
                           "      keys:\n"
                           "        - {name: office, secret: {env: FERRY_FUZZ_OFFICE}}\n"
                           "        - {name: ifttt, secret: {env: FERRY_FUZZ_IFTTT}, in_url: true}\n"
                           "      inputs: [app, date]\n"
                           "      revoked: [gone]\n"
                           "      cors: [https://good.example]\n"
                           "    - name: open\n"
                           "      keys: [{name: office, secret: {env: FERRY_FUZZ_OFFICE}}]\n"
                           "      inputs: [app]\n"
                           "      cross_site: true\n";

static struct ferry_snapshot *snapshot;
static struct ferry_triggers *triggers;

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static void prepare(void)
{
    char path[] = "/tmp/ferry-fuzz-XXXXXX";
    int fd = mkstemp(path);
    demand(fd >= 0 && write(fd, yaml, sizeof yaml - 1) == (ssize_t)sizeof yaml - 1 && close(fd) == 0);
    setenv("FERRY_FUZZ_OFFICE", OFFICE, 1);
    setenv("FERRY_FUZZ_IFTTT", IFTTT, 1);
    struct ferry_config *config = NULL;
    struct ferry_findings findings;
    struct ferry_error error;
    enum ferry_code code =
        ferry_config_load(path, FERRY_SECTION_KAFKA | FERRY_SECTION_BRIDGE, &config, &findings, &error);
    unlink(path);
    demand(code == FERRY_OK && ferry_snapshot_new(config, true, NULL, &snapshot, &error) == FERRY_OK);
    triggers = ferry_triggers_new(NULL);
    demand(triggers != NULL);
}

/* ---- a request ---- */

static struct ferry_slice take_until(struct ferry_slice *rest, char mark)
{
    const char *at = rest->len > 0 ? memchr(rest->ptr, mark, rest->len) : NULL;
    size_t len = at != NULL ? (size_t)(at - rest->ptr) : rest->len;
    struct ferry_slice taken = ferry_slice_of(rest->ptr, len);
    *rest = ferry_slice_skip(*rest, at != NULL ? len + 1 : len);
    return taken;
}

static size_t take_fields(struct ferry_slice *rest, struct ferry_pair fields[FIELDS])
{
    size_t count = 0;
    for (struct ferry_slice line = take_until(rest, '\n'); line.len > 0; line = take_until(rest, '\n')) {
        struct ferry_slice name = take_until(&line, ':');
        if (count < FIELDS)
            fields[count++] = (struct ferry_pair){name, ferry_slice_trim(line)};
    }
    return count;
}

/* ---- what must hold ---- */

static bool contains(struct ferry_slice text, const char *part)
{
    return text.len > 0 && memmem(text.ptr, text.len, part, strlen(part)) != NULL;
}

static bool names_key(struct ferry_slice text)
{
    return contains(text, OFFICE) || contains(text, IFTTT);
}

/* Who gives a key as an input, or as the name of one, is told it back. */
static bool brings_key(const struct ferry_trigger_request *request)
{
    return names_key(request->query) || names_key(request->in->body) || contains(request->query, "%") ||
           contains(request->in->body, "%") || contains(request->in->body, "\\");
}

static void check_answer(const struct ferry_response *answer, bool may_name_key)
{
    demand(answer->status >= 200 && answer->status < 600 && !answer->body.failed);
    demand(may_name_key || !names_key(ferry_buffer_slice(&answer->body)));
    if (answer->media_type != NULL && strncmp(answer->media_type, "text/html", strlen("text/html")) == 0)
        demand(!contains(ferry_buffer_slice(&answer->body), MARK));
}

static void check_fields(const struct ferry_response *answer)
{
    for (size_t i = 0; i < answer->field_count; i++) {
        demand(strpbrk(answer->fields[i].value, "\r\n") == NULL);
        demand(!names_key(ferry_slice_from(answer->fields[i].value)));
    }
}

static void check_record(const struct ferry_record *record, struct ferry_arena *arena)
{
    struct ferry_json value;
    demand(ferry_json_scan(record->value, arena, &value, NULL, NULL) == FERRY_OK && value.type == FERRY_JSON_OBJECT);
}

static void handle(const struct ferry_trigger_request *request)
{
    struct ferry_trigger_call call;
    struct ferry_admission admission = {.record_count = 0};
    struct ferry_error error = {.text = ""};
    FERRY_CLEANUP(ferry_response_done) struct ferry_response answer;
    ferry_response_init(&answer);
    enum ferry_code code = ferry_trigger_head(triggers, request, &call, &error);
    bool looks = call.path.place == FERRY_TRIGGER_RUN || call.path.place == FERRY_TRIGGER_EVENTS;
    if (code == FERRY_OK && !looks)
        code = ferry_trigger_end(&call, &admission, &answer, &error);
    if (code == FERRY_OK && admission.record_count == 1) {
        check_record(&admission.records[0], request->arena);
        ferry_trigger_published(&call, FERRY_OK, &answer);
    }
    ferry_trigger_add_fields(&call, code, &answer);
    check_fields(&answer);
    if (code == FERRY_OK && !looks)
        check_answer(&answer, brings_key(request));
    demand(code == FERRY_OK || error.text[0] != '\0');
    demand(brings_key(request) || !names_key(ferry_slice_from(error.text)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int64_t now_ms;
    if (snapshot == NULL)
        prepare();
    now_ms += 3600000; /* nothing is a repetition, but what one request repeats */
    struct ferry_arena arena;
    struct ferry_pair fields[FIELDS];
    struct ferry_slice rest = ferry_slice_of((const char *)data, size), line = take_until(&rest, '\n');
    struct ferry_admit_request in = {.method = take_until(&line, ' '), .wall_ms = now_ms, .mono_ms = now_ms};
    in.path = take_until(&line, '?');
    in.headers = (struct ferry_pairs){fields, take_fields(&rest, fields)};
    in.body = rest;
    ferry_arena_init(&arena);
    handle(&(struct ferry_trigger_request){.in = &in, .query = line, .snapshot = snapshot, .arena = &arena});
    ferry_arena_done(&arena);
    return 0;
}
