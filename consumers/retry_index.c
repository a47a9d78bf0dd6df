/* Rows are found by identity (route + origin + run) in one table, lanes by their id in another. A partition knows its
 * rows in the order of the log, for the offset that may be stored, and the lanes with nobody at work, by the time their
 * heads are due. A row that an own `done` has settled is in the table of identities alone. */
#include "consumers/retry_index.h"

#include <assert.h>
#include <stdlib.h>

#include "consumers/lanes.h"
#include "consumers/timers.h"
#include "core/hash.h"

enum { FIRST_BUCKETS = 256 };

/* Of one partition: only a topic that was widened has lanes in two. */
struct ferry_retry_lane {
    uint64_t id;
    int32_t partition;
    struct ferry_timer timer; /* of the head, while no row of it is taken */
    struct ferry_retry_row *head, *tail;
    size_t taken;
    struct ferry_retry_lane *next; /* in the bucket */
};

/* How many rows of one route a log holds. Routes are few, rows are not. */
struct tally {
    const char *route; /* one of the index's names */
    size_t rows;
    struct tally *next;
};

struct partition {
    int64_t position;
    struct tally *tallies;
    struct ferry_retry_row *first, *last;
    struct ferry_timers due;
    size_t lanes;
};

struct name {
    struct name *next;
    char text[];
};

struct ferry_retry_index {
    struct ferry_retry_row **rows;
    size_t row_buckets; /* powers of two */
    size_t row_count;
    struct ferry_retry_lane **lanes;
    size_t lane_buckets;
    size_t lane_count;
    struct partition *partitions;
    int32_t width;
    struct name *names;
};

/* ---- life ---- */

struct ferry_retry_index *ferry_retry_index_new(void)
{
    struct ferry_retry_index *index = calloc(1, sizeof *index);
    if (index == NULL)
        return NULL;
    index->row_buckets = index->lane_buckets = FIRST_BUCKETS;
    index->rows = calloc(FIRST_BUCKETS, sizeof(struct ferry_retry_row *));
    index->lanes = calloc(FIRST_BUCKETS, sizeof(struct ferry_retry_lane *));
    if (index->rows != NULL && index->lanes != NULL)
        return index;
    ferry_retry_index_free(index);
    return NULL;
}

void ferry_retry_index_free(struct ferry_retry_index *index)
{
    if (index == NULL)
        return;
    for (size_t i = 0; index->rows != NULL && i < index->row_buckets; i++)
        for (struct ferry_retry_row *row = index->rows[i], *next; row != NULL; row = next) {
            next = row->next;
            free(row);
        }
    for (size_t i = 0; index->lanes != NULL && i < index->lane_buckets; i++)
        for (struct ferry_retry_lane *lane = index->lanes[i], *next; lane != NULL; lane = next) {
            next = lane->next;
            free(lane);
        }
    for (struct name *name = index->names, *next; name != NULL; name = next) {
        next = name->next;
        free(name);
    }
    for (int32_t i = 0; i < index->width; i++) {
        ferry_timers_done(&index->partitions[i].due);
        for (struct tally *tally = index->partitions[i].tallies, *next; tally != NULL; tally = next) {
            next = tally->next;
            free(tally);
        }
    }
    free(index->rows);
    free(index->lanes);
    free(index->partitions);
    free(index);
}

enum ferry_code ferry_retry_index_widen(struct ferry_retry_index *index, int32_t width)
{
    if (width <= index->width)
        return FERRY_OK;
    struct partition *partitions = realloc(index->partitions, (size_t)width * sizeof *partitions);
    if (partitions == NULL)
        return FERRY_MEMORY;
    for (int32_t i = index->width; i < width; i++)
        partitions[i] = (struct partition){.position = -1};
    index->partitions = partitions;
    index->width = width;
    return FERRY_OK;
}

static struct partition *partition_of(const struct ferry_retry_index *index, int32_t number)
{
    return number >= 0 && number < index->width ? &index->partitions[number] : NULL;
}

/* Routes, topics and runs are few. NULL when memory ran out. */
static const char *keep_name(struct ferry_retry_index *index, struct ferry_slice text)
{
    for (const struct name *name = index->names; name != NULL; name = name->next)
        if (ferry_slice_is(text, name->text))
            return name->text;
    struct name *name = calloc(1, sizeof *name + text.len + 1);
    if (name == NULL)
        return NULL;
    if (text.len > 0)
        memcpy(name->text, text.ptr, text.len);
    name->next = index->names;
    index->names = name;
    return name->text;
}

/* The route's tally in that log, made if need be. NULL when memory ran out. */
static struct tally *keep_tally(struct partition *home, const char *route)
{
    struct tally *tally = home->tallies;
    while (tally != NULL && tally->route != route)
        tally = tally->next;
    if (tally != NULL || (tally = calloc(1, sizeof *tally)) == NULL)
        return tally;
    *tally = (struct tally){.route = route, .next = home->tallies};
    home->tallies = tally;
    return tally;
}

/* ---- rows by identity ---- */

static uint64_t identity(struct ferry_slice route, struct ferry_slice topic, int32_t partition, int64_t offset)
{
    struct ferry_slice number = ferry_slice_of((const char *)&offset, sizeof offset);
    return ferry_lane_id(route, topic, partition, number);
}

static uint64_t identity_of(const struct ferry_retry_row *row)
{
    return identity(ferry_slice_from(row->route), ferry_slice_from(row->topic), row->origin_partition,
                    row->origin_offset);
}

static struct ferry_retry_row **row_bucket(const struct ferry_retry_index *index, uint64_t hash)
{
    return &index->rows[hash & (index->row_buckets - 1)];
}

static bool is_of(const struct ferry_retry_row *row, const struct ferry_retry_note *note)
{
    return row->origin_offset == note->origin.offset && row->origin_partition == note->origin.partition &&
           ferry_slice_is(note->route, row->route) && ferry_slice_is(note->origin.topic, row->topic) &&
           ferry_slice_is(ferry_retry_run(note), row->run);
}

static struct ferry_retry_row *find_row(const struct ferry_retry_index *index, const struct ferry_retry_note *note)
{
    uint64_t hash = identity(note->route, note->origin.topic, note->origin.partition, note->origin.offset);
    struct ferry_retry_row *row = *row_bucket(index, hash);
    while (row != NULL && !is_of(row, note))
        row = row->next;
    return row;
}

/* Four times the buckets. When memory runs out the chains only get longer. */
static void grow_rows(struct ferry_retry_index *index)
{
    struct ferry_retry_index wider = {.row_buckets = index->row_buckets * 4};
    wider.rows = calloc(wider.row_buckets, sizeof(struct ferry_retry_row *));
    if (wider.rows == NULL)
        return;
    for (size_t i = 0; i < index->row_buckets; i++)
        for (struct ferry_retry_row *row = index->rows[i], *next; row != NULL; row = next) {
            struct ferry_retry_row **bucket = row_bucket(&wider, identity_of(row));
            next = row->next;
            row->next = *bucket;
            *bucket = row;
        }
    free(index->rows);
    index->rows = wider.rows;
    index->row_buckets = wider.row_buckets;
}

static void enter_row(struct ferry_retry_index *index, struct ferry_retry_row *row)
{
    if (index->row_count >= index->row_buckets)
        grow_rows(index);
    struct ferry_retry_row **bucket = row_bucket(index, identity_of(row));
    row->next = *bucket;
    *bucket = row;
    index->row_count++;
}

/* Frees it, unless somebody works on it. It is in no lane any more. */
static void erase_row(struct ferry_retry_index *index, struct ferry_retry_row *row)
{
    struct ferry_retry_row **link = row_bucket(index, identity_of(row));
    while (*link != row)
        link = &(*link)->next;
    *link = row->next;
    index->row_count--;
    row->erased = true;
    if (!row->taken)
        free(row);
}

/* ---- lanes ---- */

static struct ferry_retry_lane **lane_bucket(const struct ferry_retry_index *index, uint64_t id)
{
    return &index->lanes[id & (index->lane_buckets - 1)];
}

static struct ferry_retry_lane *find_lane(const struct ferry_retry_index *index, uint64_t id, int32_t partition)
{
    struct ferry_retry_lane *lane = *lane_bucket(index, id);
    while (lane != NULL && (lane->id != id || lane->partition != partition))
        lane = lane->next;
    return lane;
}

static void grow_lanes(struct ferry_retry_index *index)
{
    struct ferry_retry_index wider = {.lane_buckets = index->lane_buckets * 4};
    wider.lanes = calloc(wider.lane_buckets, sizeof(struct ferry_retry_lane *));
    if (wider.lanes == NULL)
        return;
    for (size_t i = 0; i < index->lane_buckets; i++)
        for (struct ferry_retry_lane *lane = index->lanes[i], *next; lane != NULL; lane = next) {
            struct ferry_retry_lane **bucket = lane_bucket(&wider, lane->id);
            next = lane->next;
            lane->next = *bucket;
            *bucket = lane;
        }
    free(index->lanes);
    index->lanes = wider.lanes;
    index->lane_buckets = wider.lane_buckets;
}

/* With room in its partition's heap, so that nothing fails later. NULL when memory ran out. */
static struct ferry_retry_lane *open_lane(struct ferry_retry_index *index, uint64_t id, int32_t partition)
{
    struct partition *home = partition_of(index, partition);
    if (ferry_timers_reserve(&home->due, home->lanes + 1) != FERRY_OK)
        return NULL;
    if (index->lane_count >= index->lane_buckets)
        grow_lanes(index);
    struct ferry_retry_lane *lane = calloc(1, sizeof *lane);
    if (lane == NULL)
        return NULL;
    struct ferry_retry_lane **bucket = lane_bucket(index, id);
    *lane = (struct ferry_retry_lane){.id = id, .partition = partition, .next = *bucket};
    *bucket = lane;
    index->lane_count++;
    home->lanes++;
    return lane;
}

static void close_lane(struct ferry_retry_index *index, struct ferry_retry_lane *lane)
{
    struct ferry_retry_lane **link = lane_bucket(index, lane->id);
    while (*link != lane)
        link = &(*link)->next;
    *link = lane->next;
    index->lane_count--;
    partition_of(index, lane->partition)->lanes--;
    free(lane);
}

static struct ferry_retry_lane *lane_of_timer(struct ferry_timer *timer)
{
    return (struct ferry_retry_lane *)((char *)timer - offsetof(struct ferry_retry_lane, timer));
}

/* The timer shows the head's time, or rests while somebody works in the lane. */
static void schedule(struct ferry_retry_index *index, struct ferry_retry_lane *lane)
{
    struct ferry_timers *due = &partition_of(index, lane->partition)->due;
    ferry_timers_cancel(due, &lane->timer);
    if (lane->head == NULL || lane->taken > 0)
        return;
    enum ferry_code code = ferry_timers_set(due, &lane->timer, lane->head->due_ms);
    assert(code == FERRY_OK); /* open_lane has made room */
    (void)code;
}

/* Nearly always at the end. */
static void join_lane(struct ferry_retry_lane *lane, struct ferry_retry_row *row)
{
    struct ferry_retry_row *before = lane->tail;
    while (before != NULL && before->origin_offset > row->origin_offset)
        before = before->lane_before;
    row->lane = lane;
    row->lane_before = before;
    row->lane_behind = before != NULL ? before->lane_behind : lane->head;
    *(before != NULL ? &before->lane_behind : &lane->head) = row;
    *(row->lane_behind != NULL ? &row->lane_behind->lane_before : &lane->tail) = row;
}

static void leave_lane(struct ferry_retry_row *row)
{
    struct ferry_retry_lane *lane = row->lane;
    *(row->lane_before != NULL ? &row->lane_before->lane_behind : &lane->head) = row->lane_behind;
    *(row->lane_behind != NULL ? &row->lane_behind->lane_before : &lane->tail) = row->lane_before;
}

static void join_log(struct partition *partition, struct ferry_retry_row *row)
{
    struct ferry_retry_row *before = partition->last;
    while (before != NULL && before->offset > row->offset)
        before = before->log_before;
    row->log_before = before;
    row->log_behind = before != NULL ? before->log_behind : partition->first;
    *(before != NULL ? &before->log_behind : &partition->first) = row;
    *(row->log_behind != NULL ? &row->log_behind->log_before : &partition->last) = row;
    ++*row->tally;
}

static void leave_log(struct partition *partition, struct ferry_retry_row *row)
{
    *(row->log_before != NULL ? &row->log_before->log_behind : &partition->first) = row->log_behind;
    *(row->log_behind != NULL ? &row->log_behind->log_before : &partition->last) = row->log_before;
    --*row->tally;
}

/* ---- outstanding, and not ---- */

static bool is_outstanding(const struct ferry_retry_row *row)
{
    return row != NULL && row->settled < 0 && !row->erased;
}

/* Out of lane and log. A lane that somebody still works in stays. */
static void withdraw(struct ferry_retry_index *index, struct ferry_retry_row *row, int64_t offset)
{
    struct ferry_retry_lane *lane = row->lane;
    row->settled = offset;
    leave_lane(row);
    leave_log(partition_of(index, row->partition), row);
    schedule(index, lane);
    if (row->taken)
        return; /* put_back looks after the lane */
    row->lane = NULL;
    if (lane->head == NULL && lane->taken == 0)
        close_lane(index, lane);
}

static struct ferry_retry_row *new_row(struct ferry_retry_index *index, const struct ferry_retry_note *note,
                                       struct ferry_slice key, int32_t partition, int64_t offset)
{
    const char *route = keep_name(index, note->route), *topic = keep_name(index, note->origin.topic);
    const char *run = keep_name(index, ferry_retry_run(note));
    struct tally *tally = route != NULL ? keep_tally(partition_of(index, partition), route) : NULL;
    if (tally == NULL || topic == NULL || run == NULL)
        return NULL;
    uint64_t id = ferry_lane_id(note->route, note->origin.topic, note->origin.partition, key);
    struct ferry_retry_lane *lane = find_lane(index, id, partition);
    struct ferry_retry_row *row = calloc(1, sizeof *row);
    if (row == NULL || (lane == NULL && (lane = open_lane(index, id, partition)) == NULL)) {
        free(row);
        return NULL;
    }
    *row = (struct ferry_retry_row){.route = route,
                                    .topic = topic,
                                    .run = run,
                                    .origin_partition = note->origin.partition,
                                    .origin_offset = note->origin.offset,
                                    .partition = partition,
                                    .offset = offset,
                                    .tally = &tally->rows,
                                    .changed = offset,
                                    .settled = -1,
                                    .first_failure_ms = note->first_failure_ms,
                                    .due_ms = note->due_ms,
                                    .attempts = note->attempts};
    join_lane(lane, row);
    return row;
}

static enum ferry_code insert(struct ferry_retry_index *index, const struct ferry_retry_note *note,
                              struct ferry_slice key, int32_t partition, int64_t offset)
{
    struct ferry_retry_row *row = new_row(index, note, key, partition, offset);
    if (row == NULL)
        return FERRY_MEMORY;
    enter_row(index, row);
    join_log(partition_of(index, partition), row);
    schedule(index, row->lane);
    return FERRY_OK;
}

/* ---- facts ---- */

static enum ferry_code note_entry(struct ferry_retry_index *index, const struct ferry_retry_note *note,
                                  struct ferry_slice key, int32_t partition, int64_t offset)
{
    struct ferry_retry_row *row = find_row(index, note);
    if (is_outstanding(row))
        return FERRY_OK; /* once more: counts once */
    if (row != NULL && row->partition == partition && offset < row->settled)
        return FERRY_OK; /* settled ahead of the reader, which comes to the entry only now */
    if (row != NULL)
        erase_row(index, row);
    return insert(index, note, key, partition, offset);
}

static void note_again(struct ferry_retry_index *index, struct ferry_retry_row *row,
                       const struct ferry_retry_note *note, int64_t offset)
{
    if (!is_outstanding(row) || offset <= row->changed)
        return;
    row->changed = offset;
    row->attempts = note->attempts;
    row->first_failure_ms = note->first_failure_ms;
    row->due_ms = note->due_ms;
    row->token_ms = 0;
    schedule(index, row->lane);
}

/* Ahead of the reader the row stays known, as settled. */
static void note_done(struct ferry_retry_index *index, struct ferry_retry_row *row, int64_t offset, bool ahead)
{
    if (row == NULL || offset <= row->offset)
        return;
    if (row->settled < 0)
        withdraw(index, row, offset);
    if (!ahead && offset >= row->settled)
        erase_row(index, row);
}

static enum ferry_code fold(struct ferry_retry_index *index, const struct ferry_retry_note *note,
                            struct ferry_slice key, int32_t partition, int64_t offset, bool ahead)
{
    if (note->kind == FERRY_RETRY_ENTRY)
        return note_entry(index, note, key, partition, offset);
    struct ferry_retry_row *row = find_row(index, note);
    if (row != NULL && row->partition != partition)
        return FERRY_OK; /* of an entry in another partition, before the topic was widened */
    if (note->kind == FERRY_RETRY_AGAIN)
        note_again(index, row, note, offset);
    else
        note_done(index, row, offset, ahead);
    return FERRY_OK;
}

enum ferry_code ferry_retry_index_learn(struct ferry_retry_index *index, const struct ferry_retry_note *note,
                                        struct ferry_slice key, int32_t partition, int64_t offset)
{
    const struct partition *home = partition_of(index, partition);
    if (home == NULL || offset < home->position)
        return FERRY_OK; /* the reader was faster */
    return fold(index, note, key, partition, offset, true);
}

/* The topic was deleted and made anew: nothing of it is there any more. */
static void forget(struct ferry_retry_index *index, int32_t number)
{
    for (size_t i = 0; i < index->row_buckets; i++)
        for (struct ferry_retry_row *row = index->rows[i], *next; row != NULL; row = next) {
            next = row->next;
            if (row->partition != number)
                continue;
            if (row->settled < 0)
                withdraw(index, row, INT64_MAX);
            erase_row(index, row);
        }
}

enum ferry_code ferry_retry_index_read(struct ferry_retry_index *index, const struct ferry_retry_note *note,
                                       struct ferry_slice key, int32_t partition, int64_t offset)
{
    struct partition *home = partition_of(index, partition);
    if (home == NULL)
        return FERRY_OK;
    if (offset < home->position)
        forget(index, partition);
    home->position = offset;
    enum ferry_code code = fold(index, note, key, partition, offset, false);
    if (code == FERRY_OK)
        home->position = offset + 1;
    return code;
}

void ferry_retry_index_pass(struct ferry_retry_index *index, int32_t partition, int64_t position)
{
    struct partition *home = partition_of(index, partition);
    if (home != NULL && position > home->position)
        home->position = position;
}

/* ---- questions ---- */

int64_t ferry_retry_index_position(const struct ferry_retry_index *index, int32_t partition)
{
    const struct partition *home = partition_of(index, partition);
    return home != NULL ? home->position : -1;
}

int64_t ferry_retry_index_settled(const struct ferry_retry_index *index, int32_t partition)
{
    const struct partition *home = partition_of(index, partition);
    if (home == NULL || home->position < 0)
        return -1;
    return home->first != NULL && home->first->offset < home->position ? home->first->offset : home->position;
}

bool ferry_retry_index_blocks(const struct ferry_retry_index *index, uint64_t id)
{
    for (const struct ferry_retry_lane *lane = *lane_bucket(index, id); lane != NULL; lane = lane->next)
        if (lane->id == id && lane->head != NULL)
            return true;
    return false;
}

struct ferry_retry_row *ferry_retry_index_find(const struct ferry_retry_index *index,
                                               const struct ferry_retry_note *note)
{
    struct ferry_retry_row *row = find_row(index, note);
    return is_outstanding(row) ? row : NULL;
}

size_t ferry_retry_index_count(const struct ferry_retry_index *index, int32_t partition, const char *route)
{
    const struct partition *home = partition_of(index, partition);
    size_t count = 0;
    for (const struct tally *tally = home != NULL ? home->tallies : NULL; tally != NULL; tally = tally->next)
        if (route == NULL || strcmp(tally->route, route) == 0)
            count += tally->rows;
    return count;
}

/* Entries come to the log within `retry.in_lane` of their first failure: the first one is as good as the oldest. */
int64_t ferry_retry_index_oldest(const struct ferry_retry_index *index, int32_t partition, const char *route)
{
    if (ferry_retry_index_count(index, partition, route) == 0)
        return INT64_MAX;
    const struct ferry_retry_row *row = partition_of(index, partition)->first;
    while (row != NULL && strcmp(row->route, route) != 0)
        row = row->log_behind;
    return row != NULL ? row->first_failure_ms : INT64_MAX;
}

/* ---- work ---- */

int64_t ferry_retry_index_next_due(const struct ferry_retry_index *index, int32_t partition)
{
    const struct partition *home = partition_of(index, partition);
    const struct ferry_timer *first = home != NULL ? ferry_timers_first(&home->due) : NULL;
    return first != NULL ? first->due_ms : INT64_MAX;
}

struct ferry_retry_row *ferry_retry_index_take(struct ferry_retry_index *index, int32_t partition, int64_t now_ms)
{
    if (ferry_retry_index_next_due(index, partition) > now_ms)
        return NULL;
    struct ferry_retry_lane *lane = lane_of_timer(ferry_timers_first(&partition_of(index, partition)->due));
    struct ferry_retry_row *row = lane->head;
    row->taken = true;
    lane->taken++;
    schedule(index, lane);
    return row;
}

void ferry_retry_index_postpone(struct ferry_retry_row *row, int64_t due_ms, int64_t token_ms)
{
    row->due_ms = due_ms;
    row->token_ms = token_ms;
}

void ferry_retry_index_put_back(struct ferry_retry_index *index, struct ferry_retry_row *row)
{
    struct ferry_retry_lane *lane = row->lane;
    assert(row->taken && lane != NULL);
    row->taken = false;
    lane->taken--;
    if (row->settled >= 0)
        row->lane = NULL;
    if (row->erased)
        free(row);
    if (lane->head == NULL && lane->taken == 0)
        close_lane(index, lane);
    else
        schedule(index, lane);
}

void ferry_retry_index_lose(struct ferry_retry_index *index, struct ferry_retry_row *row)
{
    assert(row->taken);
    if (row->settled < 0)
        withdraw(index, row, INT64_MAX);
    if (!row->erased)
        erase_row(index, row);
    ferry_retry_index_put_back(index, row);
}
