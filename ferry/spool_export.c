/* ferry spool export: JSON lines, one a row. Values and headers that are no UTF-8 go as Base64. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "core/base64.h"
#include "core/buffer.h"
#include "core/clock.h"
#include "core/program.h"
#include "core/utf8.h"
#include "ferry/console.h"
#include "ferry/spool.h"

enum { LINE_BYTES = 256 << 20, PATH_BYTES = 4096 };

/* ---- a line ---- */

static void add_base64(struct ferry_slice bytes, struct ferry_buffer *out)
{
    ferry_buffer_add_char(out, '"');
    ferry_base64_encode(bytes, out);
    ferry_buffer_add_char(out, '"');
}

/* , "key": "…"   or , "key_base64": "…"   or , "key": null */
static void add_bytes(const char *name, struct ferry_slice bytes, struct ferry_buffer *out)
{
    bool text = bytes.ptr != NULL && ferry_utf8_valid(bytes);
    ferry_buffer_printf(out, ", \"%s%s\": ", name, bytes.ptr == NULL || text ? "" : "_base64");
    if (bytes.ptr == NULL)
        ferry_buffer_add_text(out, "null");
    else if (text)
        ferry_buffer_add_json_string(out, bytes);
    else
        add_base64(bytes, out);
}

static void add_header(const struct ferry_pair *header, struct ferry_buffer *out)
{
    ferry_buffer_add_char(out, '[');
    ferry_buffer_add_json_string(out, header->name);
    ferry_buffer_add_text(out, ", ");
    if (header->value.ptr == NULL) {
        ferry_buffer_add_text(out, "null");
    } else if (ferry_utf8_valid(header->value)) {
        ferry_buffer_add_json_string(out, header->value);
    } else {
        ferry_buffer_add_text(out, "{\"base64\": ");
        add_base64(header->value, out);
        ferry_buffer_add_char(out, '}');
    }
    ferry_buffer_add_char(out, ']');
}

void ferry_spool_print_row(const struct ferry_spool_stored *stored, enum ferry_spool_table table,
                           struct ferry_buffer *out)
{
    const struct ferry_record *record = &stored->row.record;
    char since[FERRY_TIME_TEXT];
    ferry_time_format(stored->since_ms, since);
    ferry_buffer_printf(out, "{\"sequence\": %" PRId64, stored->row.sequence);
    add_bytes("topic", stored->topic, out);
    ferry_buffer_printf(out, ", \"%s\": \"%s\"", table == FERRY_SPOOL_ASIDE ? "set_aside" : "stored", since);
    if (table == FERRY_SPOOL_ASIDE)
        add_bytes("reason", stored->reason, out);
    else
        ferry_buffer_printf(out, ", \"maybe_duplicate\": %s", stored->row.handed ? "true" : "false");
    if (stored->damaged) {
        ferry_buffer_add_text(out, ", \"damaged\": true}");
        return;
    }
    add_bytes("key", record->key, out);
    ferry_buffer_add_text(out, ", \"headers\": [");
    for (size_t i = 0; i < record->header_count; i++) {
        ferry_buffer_add_text(out, i > 0 ? ", " : "");
        add_header(&record->headers[i], out);
    }
    ferry_buffer_add_char(out, ']');
    add_bytes("value", record->value, out);
    ferry_buffer_add_char(out, '}');
}

/* ---- all of them ---- */

struct dump {
    struct ferry_spool_reader *reader;
    enum ferry_spool_table table;
    FILE *out;
    struct ferry_progress progress;
    int64_t done;
    int64_t damaged;
};

static void name_damaged(struct dump *dump, const struct ferry_spool_stored *stored)
{
    ferry_progress_end(&dump->progress);
    fprintf(stderr, "ferry: row %" PRId64 "%s%.*s is damaged: its checksum does not match, its record is left out\n",
            stored->row.sequence, stored->topic.len > 0 ? " of " : "", FERRY_SLICE_ARGS(stored->topic));
    dump->damaged++;
}

static enum ferry_code write_rows(struct dump *dump, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {NULL};
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer line;
    ferry_buffer_init(&line, LINE_BYTES);
    enum ferry_code code = ferry_spool_reader_select(dump->reader, dump->table, error);
    for (bool more = true; code == FERRY_OK;) {
        struct ferry_spool_stored stored;
        ferry_arena_reset(&arena);
        code = ferry_spool_reader_next(dump->reader, &arena, &stored, &more, error);
        if (code != FERRY_OK || !more)
            break;
        if (stored.damaged)
            name_damaged(dump, &stored);
        ferry_buffer_clear(&line);
        ferry_spool_print_row(&stored, dump->table, &line);
        ferry_buffer_add_char(&line, '\n');
        if (line.failed)
            return ferry_fail(error, FERRY_MEMORY, "out of memory");
        if (fwrite(line.ptr, 1, line.len, dump->out) != line.len)
            return ferry_fail(error, FERRY_SYSTEM, "cannot write: %s", strerror(errno));
        if (ferry_console_interrupted())
            return ferry_fail(error, FERRY_STOPPING, "stopped after %" PRId64 " rows", dump->done);
        ferry_progress_show(&dump->progress, ++dump->done);
    }
    return code;
}

static enum ferry_code write_all(struct dump *dump, const char *directory, struct ferry_error *error)
{
    enum ferry_code code = ferry_spool_reader_open(directory, &dump->reader, error);
    if (code != FERRY_OK)
        return code;
    dump->progress =
        (struct ferry_progress){.what = "exporting", .total = ferry_spool_reader_count(dump->reader, dump->table)};
    code = write_rows(dump, error);
    ferry_progress_end(&dump->progress);
    ferry_spool_reader_close(dump->reader);
    if (code == FERRY_OK && fflush(dump->out) != 0)
        code = ferry_fail(error, FERRY_SYSTEM, "cannot write: %s", strerror(errno));
    return code;
}

/* A file is there whole or not at all, and for its owner alone: events are somebody's data. */
static enum ferry_code write_file(struct dump *dump, const struct ferry_spool_request *request,
                                  struct ferry_error *error)
{
    char draft[PATH_BYTES];
    if (snprintf(draft, sizeof draft, "%s.draft", request->file) >= (int)sizeof draft)
        return ferry_fail(error, FERRY_USAGE, "the name of the file is too long");
    int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    dump->out = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (dump->out == NULL)
        return ferry_fail(error, FERRY_SYSTEM, "cannot write %s: %s", draft, strerror(errno));
    enum ferry_code code = write_all(dump, request->directory, error);
    bool written = fsync(fd) == 0;
    written &= fclose(dump->out) == 0;
    if (code == FERRY_OK && (!written || rename(draft, request->file) != 0))
        code = ferry_fail(error, FERRY_SYSTEM, "cannot write %s: %s", request->file, strerror(errno));
    if (code != FERRY_OK)
        unlink(draft);
    return code;
}

int ferry_spool_export(const struct ferry_spool_request *request, const struct ferry_config *config)
{
    (void)config;
    struct dump dump = {.table = request->set_aside ? FERRY_SPOOL_ASIDE : FERRY_SPOOL_WAITING, .out = stdout};
    struct ferry_error error;
    ferry_console_catch();
    enum ferry_code code = strcmp(request->file, "-") == 0 ? write_all(&dump, request->directory, &error)
                                                           : write_file(&dump, request, &error);
    if (code != FERRY_OK) {
        fprintf(stderr, "ferry: %s\n", error.text);
        return FERRY_EXIT_FAILED;
    }
    fprintf(stderr, "%" PRId64 " rows exported", dump.done);
    if (dump.damaged > 0)
        fprintf(stderr, ", %" PRId64 " of them damaged", dump.damaged);
    fputc('\n', stderr);
    return dump.damaged > 0 ? FERRY_EXIT_FAILED : FERRY_EXIT_DONE;
}
