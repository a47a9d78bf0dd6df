#include "core/retry_record.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/clock.h"

enum { OWN_HEADERS = 15, ORIGIN_TEXT = 320 };

static const char *const kind_names[] = {
    [FERRY_RETRY_ENTRY] = "entry", [FERRY_RETRY_AGAIN] = "again", [FERRY_RETRY_DONE] = "done"};
enum { KINDS = sizeof kind_names / sizeof kind_names[0] };

/* consumers/dead_letter.c writes them. */
const char *const ferry_letter_headers[FERRY_LETTER_HEADERS] = {"ferry-error",  "ferry-reason", "ferry-attempts",
                                                                "ferry-origin", "ferry-route",  "ferry-failed-at"};

int32_t ferry_retry_partition(int32_t origin_partition, int32_t width)
{
    return origin_partition % width;
}

/* ---- values ---- */

static struct ferry_slice text_of_number(int64_t value, struct ferry_arena *arena)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%" PRId64, value);
    return ferry_arena_slice(arena, ferry_slice_of(text, (size_t)len));
}

static struct ferry_slice text_of_time(int64_t wall_ms, struct ferry_arena *arena)
{
    char text[FERRY_TIME_TEXT];
    size_t len = ferry_time_format(wall_ms, text);
    return ferry_arena_slice(arena, ferry_slice_of(text, len));
}

struct ferry_slice ferry_origin_text(const struct ferry_origin *origin, struct ferry_arena *arena)
{
    char text[ORIGIN_TEXT];
    int len = snprintf(text, sizeof text, "%.*s/%" PRId32 "/%" PRId64, FERRY_SLICE_ARGS(origin->topic),
                       origin->partition, origin->offset);
    return ferry_arena_slice(arena, ferry_slice_of(text, (size_t)len));
}

/* A whole number from 0 to `max`, all of the text. */
static bool read_number(struct ferry_slice text, int64_t max, int64_t *out)
{
    int64_t value = 0;
    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        int digit = text.ptr[i] - '0';
        if (digit < 0 || digit > 9 || value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

/* Cuts off what stands behind the last '/'. */
static bool cut_number(struct ferry_slice *text, int64_t max, int64_t *out)
{
    size_t at = text->len;
    while (at > 0 && text->ptr[at - 1] != '/')
        at--;
    if (at == 0 || !read_number(ferry_slice_skip(*text, at), max, out))
        return false;
    text->len = at - 1;
    return true;
}

static bool read_origin(struct ferry_slice text, struct ferry_origin *out)
{
    int64_t offset, partition;
    if (!cut_number(&text, INT64_MAX, &offset) || !cut_number(&text, INT32_MAX, &partition) || text.len == 0)
        return false;
    *out = (struct ferry_origin){text, (int32_t)partition, offset};
    return true;
}

/* ---- writing ---- */

/* The block while it is made. */
struct block {
    struct ferry_arena *arena;
    struct ferry_pair *headers;
    size_t count;
    bool failed;
};

static void add(struct block *block, const char *name, struct ferry_slice value)
{
    block->failed |= value.ptr == NULL;
    block->headers[block->count++] = (struct ferry_pair){ferry_slice_from(name), value};
}

static void add_if(struct block *block, const char *name, struct ferry_slice value)
{
    if (value.ptr != NULL)
        add(block, name, value);
}

static void add_identity(struct block *block, enum ferry_retry_kind kind, const struct ferry_retry_note *note)
{
    add(block, "ferry-retry", ferry_slice_from(kind_names[kind]));
    add(block, "ferry-route", note->route);
    add(block, "ferry-origin", ferry_origin_text(&note->origin, block->arena));
    add(block, "ferry-attempts", text_of_number(note->attempts, block->arena));
}

static void add_waiting(struct block *block, const struct ferry_retry_note *note)
{
    add(block, "ferry-first-failure", text_of_time(note->first_failure_ms, block->arena));
    add(block, "ferry-due", text_of_time(note->due_ms, block->arena));
    add_if(block, "ferry-error", note->error);
    add_if(block, "ferry-reason", note->reason);
}

static void add_command(struct block *block, const struct ferry_retry_note *note)
{
    const struct ferry_slice yes = FERRY_SLICE("yes"), absent = {NULL, 0};
    add_if(block, "ferry-redrive", note->redrive);
    add_if(block, "ferry-replay", note->replay);
    add_if(block, "ferry-effects", note->effects ? yes : absent);
    add_if(block, "ferry-again", note->again ? yes : absent);
}

static void add_end(struct block *block, const struct ferry_retry_note *note)
{
    add_if(block, "ferry-outcome", note->outcome);
    add_if(block, "ferry-effect", note->effect);
}

/* The headers of `original`, and those of the kind behind them. */
static enum ferry_code make(enum ferry_retry_kind kind, const struct ferry_retry_note *note,
                            const struct ferry_record *original, const char *topic, struct ferry_arena *arena,
                            struct ferry_record *record)
{
    struct block block = {.arena = arena, .count = original->header_count};
    block.headers = ferry_arena_new_array(arena, original->header_count + OWN_HEADERS, sizeof *block.headers);
    if (block.headers == NULL)
        return FERRY_MEMORY;
    if (original->header_count > 0)
        memcpy(block.headers, original->headers, original->header_count * sizeof *block.headers);
    add_identity(&block, kind, note);
    if (kind != FERRY_RETRY_DONE)
        add_waiting(&block, note);
    add_command(&block, note);
    if (kind == FERRY_RETRY_DONE)
        add_end(&block, note);
    add(&block, "ferry-version", text_of_number(FERRY_RETRY_VERSION, arena));
    if (block.failed)
        return FERRY_MEMORY;
    *record = (struct ferry_record){.topic = ferry_slice_from(topic),
                                    .key = original->key,
                                    .value = original->value,
                                    .headers = block.headers,
                                    .header_count = block.count,
                                    .partition = -1,
                                    .offset = -1};
    return FERRY_OK;
}

struct ferry_slice ferry_retry_run(const struct ferry_retry_note *note)
{
    return note->redrive.ptr != NULL ? note->redrive : note->replay.ptr != NULL ? note->replay : FERRY_SLICE("");
}

enum ferry_code ferry_retry_entry_make(const struct ferry_retry_note *note, const struct ferry_record *original,
                                       const char *topic, struct ferry_arena *arena, struct ferry_record *record)
{
    return make(FERRY_RETRY_ENTRY, note, original, topic, arena, record);
}

enum ferry_code ferry_retry_again_make(const struct ferry_retry_note *note, struct ferry_slice key, const char *topic,
                                       struct ferry_arena *arena, struct ferry_record *record)
{
    const struct ferry_record bare = {.key = key, .value = FERRY_SLICE("")};
    return make(FERRY_RETRY_AGAIN, note, &bare, topic, arena, record);
}

enum ferry_code ferry_retry_done_make(const struct ferry_retry_note *note, struct ferry_slice key, const char *topic,
                                      struct ferry_arena *arena, struct ferry_record *record)
{
    const struct ferry_record bare = {.key = key, .value = FERRY_SLICE("")};
    return make(FERRY_RETRY_DONE, note, &bare, topic, arena, record);
}

/* ---- the block ---- */

static bool ends_as_letter(const struct ferry_record *record)
{
    if (record->header_count < FERRY_LETTER_HEADERS)
        return false;
    const struct ferry_pair *last = record->headers + record->header_count - FERRY_LETTER_HEADERS;
    for (size_t i = 0; i < FERRY_LETTER_HEADERS; i++)
        if (!ferry_slice_is(last[i].name, ferry_letter_headers[i]))
            return false;
    return true;
}

/* Where the block of an entry, `again` or `done` begins; header_count: there is none. */
static size_t begin_of_retry(const struct ferry_record *record)
{
    for (size_t i = record->header_count; i > 0; i--)
        if (ferry_slice_is(record->headers[i - 1].name, "ferry-retry"))
            return i - 1;
    return record->header_count;
}

/* A letter whose original came from elsewhere may hold a `ferry-retry` before its own block, never behind it. */
static size_t begin_of_block(const struct ferry_record *record)
{
    return ends_as_letter(record) ? record->header_count - FERRY_LETTER_HEADERS : begin_of_retry(record);
}

static struct ferry_pairs block_from(const struct ferry_record *record, size_t begin)
{
    return (struct ferry_pairs){record->headers + begin, record->header_count - begin};
}

struct ferry_record ferry_retry_original(const struct ferry_record *record)
{
    struct ferry_record original = *record;
    original.header_count = begin_of_block(record);
    return original;
}

struct ferry_record ferry_retry_letter_original(const struct ferry_record *record)
{
    struct ferry_record original = *record;
    if (ends_as_letter(record))
        original.header_count -= FERRY_LETTER_HEADERS;
    return original;
}

/* ---- reading ---- */

static enum ferry_code invalid(struct ferry_error *error, const char *name)
{
    return ferry_fail(error, FERRY_RECORD_INVALID, "the header %s is missing or wrong", name);
}

/* What was written before there were versions has none. */
static int64_t version_of(struct ferry_pairs block)
{
    int64_t version = 1;
    struct ferry_slice text = ferry_pairs_get(block, "ferry-version");
    return text.ptr == NULL || read_number(text, INT32_MAX, &version) ? version : INT32_MAX;
}

bool ferry_retry_is_newer(const struct ferry_record *record)
{
    return version_of(block_from(record, begin_of_retry(record))) > FERRY_RETRY_VERSION;
}

static enum ferry_code read_identity(struct ferry_pairs block, struct ferry_retry_note *note, struct ferry_error *error)
{
    int64_t attempts;
    note->route = ferry_pairs_get(block, "ferry-route");
    if (note->route.ptr == NULL)
        return invalid(error, "ferry-route");
    if (!read_origin(ferry_pairs_get(block, "ferry-origin"), &note->origin))
        return invalid(error, "ferry-origin");
    if (!read_number(ferry_pairs_get(block, "ferry-attempts"), INT32_MAX, &attempts))
        return invalid(error, "ferry-attempts");
    note->attempts = (int)attempts;
    note->error = ferry_pairs_get(block, "ferry-error");
    note->reason = ferry_pairs_get(block, "ferry-reason");
    return FERRY_OK;
}

static enum ferry_code read_kind(struct ferry_pairs block, enum ferry_retry_kind *out, struct ferry_error *error)
{
    struct ferry_slice name = ferry_pairs_get(block, "ferry-retry");
    for (size_t i = 0; i < KINDS; i++)
        if (ferry_slice_is(name, kind_names[i])) {
            *out = (enum ferry_retry_kind)i;
            return FERRY_OK;
        }
    return invalid(error, "ferry-retry");
}

static enum ferry_code read_waiting(struct ferry_pairs block, struct ferry_retry_note *note, struct ferry_error *error)
{
    if (!ferry_time_parse(ferry_pairs_get(block, "ferry-first-failure"), &note->first_failure_ms))
        return invalid(error, "ferry-first-failure");
    if (!ferry_time_parse(ferry_pairs_get(block, "ferry-due"), &note->due_ms))
        return invalid(error, "ferry-due");
    return FERRY_OK;
}

static void read_rest(struct ferry_pairs block, struct ferry_retry_note *note)
{
    note->redrive = ferry_pairs_get(block, "ferry-redrive");
    note->replay = ferry_pairs_get(block, "ferry-replay");
    note->effects = ferry_slice_is(ferry_pairs_get(block, "ferry-effects"), "yes");
    note->again = ferry_slice_is(ferry_pairs_get(block, "ferry-again"), "yes");
    note->outcome = ferry_pairs_get(block, "ferry-outcome");
    note->effect = ferry_pairs_get(block, "ferry-effect");
}

enum ferry_code ferry_retry_read(const struct ferry_record *record, struct ferry_retry_note *note,
                                 struct ferry_error *error)
{
    struct ferry_pairs block = block_from(record, begin_of_retry(record));
    struct ferry_retry_note read = {0};
    if (version_of(block) > FERRY_RETRY_VERSION)
        return ferry_fail(error, FERRY_RECORD_INVALID, "written by a newer Ferry: ferry-version is not %d",
                          FERRY_RETRY_VERSION);
    enum ferry_code code = read_kind(block, &read.kind, error);
    if (code == FERRY_OK)
        code = read_identity(block, &read, error);
    if (code == FERRY_OK && read.kind != FERRY_RETRY_DONE)
        code = read_waiting(block, &read, error);
    if (code != FERRY_OK)
        return code;
    read_rest(block, &read);
    *note = read;
    return FERRY_OK;
}

enum ferry_code ferry_retry_read_letter(const struct ferry_record *letter, struct ferry_retry_note *note,
                                        struct ferry_error *error)
{
    if (!ends_as_letter(letter))
        return ferry_fail(error, FERRY_RECORD_INVALID, "it does not end with the headers of a dead letter");
    struct ferry_pairs block = block_from(letter, letter->header_count - FERRY_LETTER_HEADERS);
    struct ferry_retry_note read = {.kind = FERRY_RETRY_ENTRY};
    enum ferry_code code = read_identity(block, &read, error);
    if (code == FERRY_OK && !ferry_time_parse(ferry_pairs_get(block, "ferry-failed-at"), &read.failed_at_ms))
        code = invalid(error, "ferry-failed-at");
    if (code == FERRY_OK)
        *note = read;
    return code;
}
