/* In a record each id takes twelve bytes, the time in seconds and the hash, all of them one base64 text. A time is
 * rounded up, so that it is forgotten a moment late and not a moment early. */
#include "bridge/audits/checkpoint.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/base64.h"
#include "core/clock.h"
#include "core/hash.h"
#include "core/json.h"

enum { VERSION = 1, TIME_BYTES = 4, ID_BYTES = 8, SEEN_BYTES = TIME_BYTES + ID_BYTES };

void ferry_audits_checkpoint_done(struct ferry_audits_checkpoint *checkpoint)
{
    free(checkpoint->seen);
    *checkpoint = (struct ferry_audits_checkpoint){0};
}

/* ---- what was seen ---- */

uint64_t ferry_audits_id(struct ferry_slice source, struct ferry_slice id)
{
    uint64_t hash = ferry_hash(FERRY_HASH_EMPTY, source);
    return ferry_hash(ferry_hash_byte(hash, '\0'), id);
}

/* The place of the id, or where it would be. */
static size_t place_of(const struct ferry_audits_checkpoint *checkpoint, uint64_t id)
{
    size_t low = 0, high = checkpoint->seen_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (checkpoint->seen[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool ferry_audits_checkpoint_has(const struct ferry_audits_checkpoint *checkpoint, uint64_t id)
{
    size_t place = place_of(checkpoint, id);
    return place < checkpoint->seen_count && checkpoint->seen[place].id == id;
}

void ferry_audits_checkpoint_prune(struct ferry_audits_checkpoint *checkpoint, int64_t before_ms)
{
    size_t kept = 0;
    for (size_t i = 0; i < checkpoint->seen_count; i++)
        if (checkpoint->seen[i].time_ms >= before_ms)
            checkpoint->seen[kept++] = checkpoint->seen[i];
    checkpoint->seen_count = kept;
}

static int by_time(const void *a, const void *b)
{
    int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;
    return (one > other) - (one < other);
}

/* Makes room by forgetting the oldest tenth. False when memory ran out. */
static bool forget_oldest(struct ferry_audits_checkpoint *checkpoint)
{
    int64_t *times = calloc(checkpoint->seen_count, sizeof *times);
    if (times == NULL)
        return false;
    for (size_t i = 0; i < checkpoint->seen_count; i++)
        times[i] = checkpoint->seen[i].time_ms;
    qsort(times, checkpoint->seen_count, sizeof *times, by_time);
    ferry_audits_checkpoint_prune(checkpoint, times[checkpoint->seen_count / 10] + 1);
    free(times);
    return true;
}

static bool reserve(struct ferry_audits_checkpoint *checkpoint)
{
    if (checkpoint->seen_count == FERRY_AUDITS_SEEN_MAX)
        return forget_oldest(checkpoint);
    if (checkpoint->seen_count < checkpoint->seen_room)
        return true;
    size_t room = checkpoint->seen_room > 0 ? checkpoint->seen_room * 2 : 256;
    struct ferry_audits_seen *grown = realloc(checkpoint->seen, room * sizeof *grown);
    if (grown == NULL)
        return false;
    checkpoint->seen = grown;
    checkpoint->seen_room = room;
    return true;
}

bool ferry_audits_checkpoint_add(struct ferry_audits_checkpoint *checkpoint, uint64_t id, int64_t time_ms)
{
    if (ferry_audits_checkpoint_has(checkpoint, id))
        return true;
    if (!reserve(checkpoint))
        return false;
    size_t place = place_of(checkpoint, id);
    struct ferry_audits_seen *at = checkpoint->seen + place;
    memmove(at + 1, at, (checkpoint->seen_count - place) * sizeof *at);
    *at = (struct ferry_audits_seen){id, time_ms};
    checkpoint->seen_count++;
    return true;
}

bool ferry_audits_checkpoint_newer(const struct ferry_audits_checkpoint *a, const struct ferry_audits_checkpoint *b)
{
    return a->epoch != b->epoch ? a->epoch > b->epoch : a->sequence > b->sequence;
}

/* ---- writing ---- */

static void put_number(uint64_t number, size_t bytes, char *out)
{
    for (size_t i = bytes; i-- > 0; number >>= 8)
        out[i] = (char)(number & 0xFF);
}

static uint64_t get_number(const char *in, size_t bytes)
{
    uint64_t number = 0;
    for (size_t i = 0; i < bytes; i++)
        number = number << 8 | (unsigned char)in[i];
    return number;
}

static int64_t seconds_up(int64_t time_ms)
{
    return time_ms > 0 ? (time_ms + 999) / 1000 : 0;
}

static void write_seen(const struct ferry_audits_checkpoint *checkpoint, struct ferry_buffer *out)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer packed;
    ferry_buffer_init(&packed, (size_t)FERRY_AUDITS_SEEN_MAX * SEEN_BYTES);
    for (size_t i = 0; i < checkpoint->seen_count; i++) {
        char bytes[SEEN_BYTES];
        put_number((uint64_t)seconds_up(checkpoint->seen[i].time_ms), TIME_BYTES, bytes);
        put_number(checkpoint->seen[i].id, ID_BYTES, bytes + TIME_BYTES);
        ferry_buffer_add(&packed, ferry_slice_of(bytes, sizeof bytes));
    }
    out->failed |= packed.failed;
    ferry_base64_encode(ferry_buffer_slice(&packed), out);
}

void ferry_audits_checkpoint_write(const struct ferry_audits_checkpoint *checkpoint, struct ferry_buffer *out)
{
    char position[FERRY_TIME_TEXT];
    ferry_time_format(checkpoint->position_ms, position);
    ferry_buffer_printf(out, "{\"version\":%d,\"epoch\":%" PRId64 ",\"sequence\":%" PRId64 ",\"position\":\"%s\"",
                        VERSION, checkpoint->epoch, checkpoint->sequence, position);
    ferry_buffer_add_text(out, ",\"seen\":\"");
    write_seen(checkpoint, out);
    ferry_buffer_add_text(out, "\"}");
}

/* ---- reading ---- */

static bool read_number(const struct ferry_json_parts *members, const char *name, int64_t *number)
{
    const struct ferry_json_member *member = ferry_json_find(members, name);
    char text[24];
    if (member == NULL || member->value.type != FERRY_JSON_NUMBER || member->value.text.len >= sizeof text)
        return false;
    memcpy(text, member->value.text.ptr, member->value.text.len);
    text[member->value.text.len] = '\0';
    char *end;
    *number = strtoll(text, &end, 10);
    return *end == '\0';
}

/* The text of a string member that has no escapes; absent if there is none. */
static struct ferry_slice read_text(const struct ferry_json_parts *members, const char *name)
{
    const struct ferry_json_member *member = ferry_json_find(members, name);
    if (member == NULL || member->value.type != FERRY_JSON_STRING)
        return (struct ferry_slice){NULL, 0};
    return ferry_slice_of(member->value.text.ptr + 1, member->value.text.len - 2);
}

static bool read_seen(struct ferry_slice text, struct ferry_arena *arena, struct ferry_audits_checkpoint *checkpoint)
{
    size_t room = ferry_base64_room(text.len), len = 0;
    char *packed = ferry_arena_new(arena, room);
    if (text.ptr == NULL || packed == NULL || !ferry_base64_decode(text, packed, room, &len) || len % SEEN_BYTES != 0)
        return false;
    for (size_t at = 0; at < len; at += SEEN_BYTES) {
        int64_t time_ms = (int64_t)get_number(packed + at, TIME_BYTES) * 1000;
        if (!ferry_audits_checkpoint_add(checkpoint, get_number(packed + at + TIME_BYTES, ID_BYTES), time_ms))
            return false;
    }
    return true;
}

static bool read_members(const struct ferry_json_parts *members, struct ferry_arena *arena,
                         struct ferry_audits_checkpoint *checkpoint)
{
    return read_number(members, "epoch", &checkpoint->epoch) &&
           read_number(members, "sequence", &checkpoint->sequence) &&
           ferry_time_parse(read_text(members, "position"), &checkpoint->position_ms) &&
           read_seen(read_text(members, "seen"), arena, checkpoint);
}

enum ferry_code ferry_audits_checkpoint_read(struct ferry_slice value, struct ferry_audits_checkpoint *checkpoint,
                                             struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    FERRY_CLEANUP(ferry_audits_checkpoint_done) struct ferry_audits_checkpoint read = {0};
    struct ferry_json json;
    struct ferry_json_parts members = {NULL, 0};
    int64_t version = 0;
    if (ferry_json_scan(value, &arena, &json, &members, NULL) != FERRY_OK || json.type != FERRY_JSON_OBJECT ||
        !read_number(&members, "version", &version))
        return ferry_fail(error, FERRY_RECORD_INVALID, "not a checkpoint");
    if (version != VERSION)
        return ferry_fail(error, FERRY_RECORD_INVALID, "a checkpoint of version %" PRId64 ", this program knows %d",
                          version, VERSION);
    if (!read_members(&members, &arena, &read))
        return ferry_fail(error, FERRY_RECORD_INVALID, "a damaged checkpoint");
    *checkpoint = read;
    read = (struct ferry_audits_checkpoint){0};
    return FERRY_OK;
}
