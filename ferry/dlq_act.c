/* ferry dlq redrive, and drop.
 *
 * A redrive goes in batches: entries are appended to the retry topics, all are reported, then one record of the journal
 * names the letters of the batch. So at any end but a crash in the middle of a batch the journal says exactly what was
 * appended, and the next run leaves that out. After such a crash a batch may be appended twice; a worker counts an
 * entry of the same route and origin once while it waits, and afterwards "once" makes it a duplicate. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/kafka/producer.h"
#include "core/program.h"
#include "ferry/cli.h"
#include "ferry/console.h"
#include "ferry/dlq.h"
#include "ferry/operations.h"

enum { BATCH = 1000, BATCH_BYTES = 32 << 20, DETAILS_BYTES = 800 * 1024, FLUSH_MS = 200, PATIENCE_MS = 10000 };

static int fail(const struct ferry_error *error)
{
    fprintf(stderr, "ferry: %s\n", error->text);
    return FERRY_EXIT_FAILED;
}

/* ---- what may be redriven ---- */

static bool has_route(const struct ferry_config *config, const char *worker, struct ferry_slice name)
{
    const struct ferry_route_config *route;
    for (size_t i = 0; (route = ferry_config_route(config, worker, i)) != NULL; i++)
        if (ferry_slice_is(name, route->name))
            return true;
    return false;
}

const char *ferry_dlq_refusal(const struct ferry_dlq *dlq, const struct ferry_letter *letter)
{
    const struct ferry_dlq_queue *queue = &dlq->queues[letter->queue];
    if (letter->note.route.len == 0)
        return "it has no route: the record could not be read, and never will be";
    if (!has_route(dlq->config, queue->worker, letter->note.route))
        return "its route is not in the configuration any more";
    if (queue->retry_partitions == 0)
        return "there is no retry topic yet; start the worker once";
    return NULL;
}

/* Takes those that cannot be redriven out of the list, each with a line on stderr. */
static size_t refuse(const struct ferry_dlq *dlq, struct ferry_letters *letters)
{
    size_t kept = 0, count = letters->count;
    char name[FERRY_LETTER_NAME];
    for (size_t i = 0; i < count; i++) {
        const char *why = ferry_dlq_refusal(dlq, &letters->items[i]);
        if (why == NULL)
            letters->items[kept++] = letters->items[i];
        else
            fprintf(stderr, "ferry: %s: %s\n", ferry_letter_name(dlq, &letters->items[i], name), why);
    }
    letters->count = kept;
    return count - kept;
}

/* ---- asking ---- */

static bool agrees(const char *what, size_t count)
{
    char answer[16] = "";
    fprintf(stderr, "%s %zu dead letter%s? [y/N] ", what, count, count == 1 ? "" : "s");
    if (fgets(answer, sizeof answer, stdin) == NULL)
        return false;
    return answer[0] == 'y' || answer[0] == 'Y';
}

static bool may_go_on(const struct ferry_dlq_request *request, const char *what, size_t count)
{
    if (request->yes || isatty(STDIN_FILENO) == 0 || agrees(what, count))
        return true;
    fputs("ferry: nothing was changed\n", stderr);
    return false;
}

/* ---- the journal ---- */

/* A run and its journal. */
struct run {
    struct ferry_dlq *dlq;
    const struct ferry_dlq_request *request;
    struct ferry_operation operation;
    char id[FERRY_RUN_ID];
    struct ferry_operations *journal;
    size_t total;
    size_t done; /* letters that the journal names */
};

static enum ferry_code run_begin(struct run *run, const char *command, struct ferry_error *error)
{
    ferry_run_id_new(run->id);
    run->operation = (struct ferry_operation){.command = command,
                                              .arguments = run->request->arguments,
                                              .argument_count = run->request->argument_count,
                                              .run = run->id};
    return ferry_operations_open(run->dlq->config, &run->operation, &run->journal, error);
}

static enum ferry_code note(struct run *run, const struct ferry_letters *letters, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer details;
    ferry_buffer_init(&details, DETAILS_BYTES);
    ferry_dlq_print_details(run->dlq, letters, &details);
    if (details.failed)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    size_t done = run->done + letters->count;
    const char *state = done == run->total ? "done" : ferry_console_interrupted() ? "stopped" : "progress";
    enum ferry_code code =
        ferry_operations_note(run->journal, state, (int64_t)done, ferry_buffer_slice(&details), error);
    if (code == FERRY_OK)
        run->done = done;
    return code;
}

static int tell(const struct run *run, const char *what, size_t refused, enum ferry_code code,
                const struct ferry_error *error)
{
    if (run->request->json)
        printf("{\"run\": \"%s\", \"%s\": %zu, \"refused\": %zu}\n", run->id, what, run->done, refused);
    else
        printf("%zu dead letter%s %s (run %s)\n", run->done, run->done == 1 ? "" : "s", what, run->id);
    if (code != FERRY_OK)
        fprintf(stderr, "ferry: %s; %zu are left, run it again to go on\n", error->text, run->total - run->done);
    return code == FERRY_OK && run->done == run->total && refused == 0 ? FERRY_EXIT_DONE : FERRY_EXIT_FAILED;
}

/* What is to be done, told and not done: there is nothing, or that was asked for. */
static int rehearse(const struct ferry_dlq_request *request, const char *what, size_t count, size_t refused)
{
    const char *mood = request->dry_run ? "would_be_" : "";
    if (request->json)
        printf("{\"%s%s\": %zu, \"refused\": %zu}\n", mood, what, count, refused);
    else if (request->dry_run)
        printf("%zu dead letter%s would be %s\n", count, count == 1 ? "" : "s", what);
    else
        printf("there is no dead letter to be %s\n", what);
    return refused == 0 ? FERRY_EXIT_DONE : FERRY_EXIT_FAILED;
}

/* ---- redrive ---- */

/* An entry on its way. */
struct shipment {
    struct ferry_letter *letter;
    struct ferry_fetched *fetched; /* holds the value until the report */
    enum ferry_code code;
    char reason[512];
};

struct redrive {
    struct run run;
    struct ferry_producer *producer;
    struct ferry_arena arena; /* of the batch's headers */
    struct shipment batch[BATCH];
    size_t count;
    size_t bytes;
    struct ferry_letter done[BATCH];
    struct ferry_progress progress;
};

static void take_report(void *context, const struct ferry_report *report)
{
    struct shipment *shipment = report->tag;
    (void)context;
    snprintf(shipment->reason, sizeof shipment->reason, "%s", report->reason != NULL ? report->reason : "");
    shipment->code = report->code;
}

static enum ferry_code wait_for_reports(struct redrive *redrive, struct ferry_error *error)
{
    int64_t until_ms = ferry_clock_mono_ms() + PATIENCE_MS;
    while (ferry_producer_flush(redrive->producer, FLUSH_MS) != FERRY_OK)
        if (ferry_clock_mono_ms() > until_ms || ferry_producer_broken(redrive->producer))
            break;
    if (ferry_producer_in_flight(redrive->producer) == 0)
        return FERRY_OK;
    ferry_producer_close(redrive->producer); /* what is left is reported now */
    redrive->producer = NULL;
    return ferry_fail(error, FERRY_KAFKA, "Kafka took nothing for %d s", PATIENCE_MS / 1000);
}

static void forget_batch(struct redrive *redrive)
{
    for (size_t i = 0; i < redrive->count; i++)
        ferry_fetched_free(redrive->batch[i].fetched);
    ferry_arena_reset(&redrive->arena);
    redrive->count = 0;
    redrive->bytes = 0;
}

/* Waits for the batch, then writes down what of it was appended. */
static enum ferry_code settle_batch(struct redrive *redrive, struct ferry_error *error)
{
    struct ferry_letters done = {.items = redrive->done};
    struct ferry_error failed = {.text = ""};
    enum ferry_code code = wait_for_reports(redrive, &failed), noted = FERRY_OK;
    for (size_t i = 0; i < redrive->count; i++) {
        const struct shipment *shipment = &redrive->batch[i];
        if (shipment->code == FERRY_OK)
            done.items[done.count++] = *shipment->letter;
        else if (code == FERRY_OK)
            code = ferry_fail(&failed, shipment->code, "%s: %s",
                              redrive->run.dlq->queues[shipment->letter->queue].retry, shipment->reason);
    }
    ferry_letters_sort(&done);
    if (done.count > 0)
        noted = note(&redrive->run, &done, error);
    forget_batch(redrive);
    ferry_progress_show(&redrive->progress, (int64_t)redrive->run.done);
    if (noted == FERRY_OK && code != FERRY_OK)
        *error = failed;
    return noted != FERRY_OK ? noted : code;
}

static enum ferry_code make_entry(struct redrive *redrive, const struct ferry_letter *letter,
                                  const struct ferry_record *record, struct ferry_record *entry)
{
    const struct ferry_record original = ferry_retry_original(record);
    struct ferry_retry_note note = letter->note;
    note.attempts = 0;
    note.first_failure_ms = note.due_ms = ferry_clock_wall_ms();
    note.redrive = ferry_slice_from(redrive->run.id);
    return ferry_retry_entry_make(&note, &original, redrive->run.dlq->queues[letter->queue].retry, &redrive->arena,
                                  entry);
}

static enum ferry_code send(struct redrive *redrive, struct shipment *shipment, struct ferry_error *error)
{
    const struct ferry_dlq_queue *queue = &redrive->run.dlq->queues[shipment->letter->queue];
    int32_t partition = ferry_retry_partition(shipment->letter->note.origin.partition, queue->retry_partitions);
    struct ferry_record entry;
    if (make_entry(redrive, shipment->letter, &shipment->fetched->record, &entry) != FERRY_OK)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    enum ferry_code code;
    int64_t until_ms = ferry_clock_mono_ms() + PATIENCE_MS;
    while ((code = ferry_producer_send_to(redrive->producer, &entry, partition, shipment, error)) == FERRY_QUEUE_FULL)
        if (ferry_producer_flush(redrive->producer, FLUSH_MS) != FERRY_OK &&
            (ferry_console_interrupted() || ferry_clock_mono_ms() > until_ms))
            break;
    return code;
}

static enum ferry_code add_letter(void *context, struct ferry_letter *letter, struct ferry_fetched *fetched,
                                  struct ferry_error *error)
{
    struct redrive *redrive = context;
    struct shipment *shipment = &redrive->batch[redrive->count++];
    *shipment = (struct shipment){.letter = letter, .fetched = fetched, .code = FERRY_STOPPING};
    redrive->bytes += fetched->record.value.len;
    enum ferry_code code = send(redrive, shipment, error);
    if (code == FERRY_OK && (redrive->count == BATCH || redrive->bytes >= BATCH_BYTES))
        code = settle_batch(redrive, error);
    return code;
}

/* Whatever ends it, what was sent is waited for and written down. */
static enum ferry_code redrive_all(struct redrive *redrive, const struct ferry_letters *letters,
                                   struct ferry_error *error)
{
    static const struct ferry_properties none = {NULL, 0};
    const struct ferry_producer_listener listener = {redrive, take_report, NULL};
    struct ferry_error last = {.text = ""};
    enum ferry_code code =
        ferry_producer_open(redrive->run.dlq->config->kafka, none, &listener, NULL, &redrive->producer, error);
    if (code == FERRY_OK)
        code = ferry_dlq_read(redrive->run.dlq, letters, add_letter, redrive, error);
    if (redrive->producer != NULL && redrive->count > 0) {
        enum ferry_code settled = settle_batch(redrive, &last);
        if (code == FERRY_OK && settled != FERRY_OK) {
            code = settled;
            *error = last;
        }
    }
    if (redrive->producer != NULL)
        ferry_producer_close(redrive->producer);
    forget_batch(redrive);
    if (code == FERRY_OK && redrive->run.done < redrive->run.total)
        code = ferry_fail(error, FERRY_NOT_FOUND, "some letters are gone from their topic");
    return code;
}

static int redrive_letters(struct ferry_dlq *dlq, const struct ferry_dlq_request *request,
                           const struct ferry_letters *letters, size_t refused)
{
    struct ferry_error error = {.text = ""};
    struct redrive *redrive = calloc(1, sizeof *redrive);
    if (redrive == NULL) {
        ferry_fail(&error, FERRY_MEMORY, "out of memory");
        return fail(&error);
    }
    redrive->run = (struct run){.dlq = dlq, .request = request, .total = letters->count};
    redrive->progress = (struct ferry_progress){.what = "redriving", .total = (int64_t)letters->count};
    enum ferry_code code = run_begin(&redrive->run, "dlq redrive", &error);
    if (code == FERRY_OK)
        code = redrive_all(redrive, letters, &error);
    ferry_progress_end(&redrive->progress);
    ferry_operations_close(redrive->run.journal);
    int exit_code = tell(&redrive->run, "redriven", refused, code, &error);
    ferry_arena_done(&redrive->arena);
    free(redrive);
    return exit_code;
}

int ferry_dlq_redrive(struct ferry_dlq *dlq, const struct ferry_dlq_request *request)
{
    struct ferry_letters letters = {0};
    struct ferry_error error;
    if (ferry_dlq_collect(dlq, &request->filter, &letters, &error) != FERRY_OK)
        return fail(&error);
    size_t refused = refuse(dlq, &letters);
    if (request->dry_run || letters.count == 0)
        return rehearse(request, "redriven", letters.count, refused);
    if (!may_go_on(request, "Redrive", letters.count))
        return FERRY_EXIT_FAILED;
    return redrive_letters(dlq, request, &letters, refused);
}

/* ---- drop ---- */

int ferry_dlq_drop(struct ferry_dlq *dlq, const struct ferry_dlq_request *request)
{
    struct ferry_letters letters = {0};
    struct ferry_error error = {.text = ""};
    if (ferry_dlq_collect(dlq, &request->filter, &letters, &error) != FERRY_OK)
        return fail(&error);
    if (request->dry_run || letters.count == 0)
        return rehearse(request, "dropped", letters.count, 0);
    if (!may_go_on(request, "Drop", letters.count))
        return FERRY_EXIT_FAILED;
    struct run run = {.dlq = dlq, .request = request, .total = letters.count};
    enum ferry_code code = run_begin(&run, "dlq drop", &error);
    while (code == FERRY_OK && run.done < run.total && !ferry_console_interrupted()) {
        size_t left = run.total - run.done;
        const struct ferry_letters batch = {.items = letters.items + run.done, .count = left < BATCH ? left : BATCH};
        code = note(&run, &batch, &error);
    }
    if (code == FERRY_OK && run.done < run.total)
        code = ferry_fail(&error, FERRY_STOPPING, "stopped");
    ferry_operations_close(run.journal);
    return tell(&run, "dropped", 0, code, &error);
}
