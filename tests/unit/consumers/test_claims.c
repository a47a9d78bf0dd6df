/* The fold of claims: who holds a key, by the log alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "consumers/claims.h"

enum { LEASE = 100, WINDOW = 10000, US = 7, THEM = 8, THIRD = 9 };

static const struct ferry_once_key key = {{1, 2, 3}};
static const struct ferry_claimant nobody = {0};

static struct ferry_claims *new_claims(uint64_t process)
{
    struct ferry_claims *claims = ferry_claims_new(process);
    assert_non_null(claims);
    ferry_claims_set_terms(claims, LEASE, WINDOW);
    return claims;
}

static int setup(void **state)
{
    *state = new_claims(US);
    return 0;
}

static int teardown(void **state)
{
    ferry_claims_free(*state);
    return 0;
}

static void read_claim(struct ferry_claims *claims, uint64_t process, uint64_t serial, int64_t now)
{
    ferry_claims_read(claims, &key, (struct ferry_claimant){process, serial}, nobody, now);
}

/* What we write; returns it, for the log to bring it back. */
static struct ferry_claimant write_claim(struct ferry_claims *claims, int64_t now, struct ferry_claimant *over)
{
    struct ferry_claimant by;
    assert_true(ferry_claims_watch(claims, &key, now));
    ferry_claims_write(claims, &key, now, &by, over);
    assert_int_equal(by.process, US);
    return by;
}

static enum ferry_standing standing(const struct ferry_claims *claims, int64_t now)
{
    return ferry_claims_standing(claims, &key, now, now);
}

static void a_claim_counts_when_it_was_read_back(void **state)
{
    struct ferry_claimant over, by = write_claim(*state, 1, &over);
    assert_int_equal(over.process, 0);
    assert_int_equal(standing(*state, 1), FERRY_STANDING_FREE);
    ferry_claims_read(*state, &key, by, over, 2);
    assert_int_equal(standing(*state, 2), FERRY_STANDING_OURS);
}

static void the_first_in_the_log_holds_the_key(void **state)
{
    struct ferry_claimant over, by = write_claim(*state, 1, &over);
    read_claim(*state, THEM, 1, 2);
    ferry_claims_read(*state, &key, by, over, 2);
    assert_int_equal(standing(*state, 2), FERRY_STANDING_OTHERS);
}

static void who_came_too_late_claims_again_after_the_void(void **state)
{
    struct ferry_claimant over, by = write_claim(*state, 1, &over);
    read_claim(*state, THEM, 1, 2);
    ferry_claims_read(*state, &key, by, over, 2);
    ferry_claims_read_void(*state, &key, (struct ferry_claimant){THEM, 2});
    assert_int_equal(standing(*state, 3), FERRY_STANDING_FREE);
    by = write_claim(*state, 3, &over);
    ferry_claims_read(*state, &key, by, over, 4);
    assert_int_equal(standing(*state, 4), FERRY_STANDING_OURS);
}

static void nobody_takes_back_what_another_holds(void **state)
{
    read_claim(*state, THEM, 1, 1);
    ferry_claims_read_void(*state, &key, (struct ferry_claimant){THIRD, 1});
    assert_int_equal(standing(*state, 2), FERRY_STANDING_OTHERS);
}

static void a_mark_ends_a_claim_and_is_told_to_who_waits(void **state)
{
    struct ferry_claimant over;
    bool doubtful = true;
    write_claim(*state, 1, &over);
    read_claim(*state, THEM, 1, 2);
    ferry_claims_read_mark(*state, &key, 50, false);
    assert_int_equal(standing(*state, 60), FERRY_STANDING_DONE);
    assert_int_equal(ferry_claims_marked_ms(*state, &key, &doubtful), 50);
    assert_false(doubtful);
    assert_int_equal(standing(*state, 50 + WINDOW), FERRY_STANDING_FREE); /* forgotten by then */
}

static void a_mark_of_doubt_counts_until_an_operator_decides(void **state)
{
    struct ferry_claimant over;
    bool doubtful = false;
    write_claim(*state, 1, &over);
    ferry_claims_read_mark(*state, &key, 50, true);
    assert_int_equal(standing(*state, 60), FERRY_STANDING_DONE);
    assert_true(ferry_claims_marked_ms(*state, &key, &doubtful) == 50 && doubtful);
    ferry_claims_absolve(*state, &key);
    assert_int_equal(standing(*state, 60), FERRY_STANDING_FREE);
    ferry_claims_read_mark(*state, &key, 70, false);
    ferry_claims_absolve(*state, &key); /* that is no doubt */
    assert_int_equal(standing(*state, 80), FERRY_STANDING_DONE);
}

static void who_renews_lives_and_who_does_not_is_dead(void **state)
{
    read_claim(*state, THEM, 1, 10);
    assert_int_equal(standing(*state, 10 + LEASE), FERRY_STANDING_OTHERS);
    assert_int_equal(standing(*state, 11 + LEASE), FERRY_STANDING_DEAD);
    read_claim(*state, THEM, 2, 10 + LEASE);
    assert_int_equal(standing(*state, 10 + LEASE + LEASE), FERRY_STANDING_OTHERS);
}

static void what_a_dead_one_left_is_inherited_in_doubt(void **state)
{
    struct ferry_claimant over;
    read_claim(*state, THEM, 5, 10);
    struct ferry_claimant by = write_claim(*state, 11 + LEASE, &over);
    assert_true(over.process == THEM && over.serial == 5);
    ferry_claims_read(*state, &key, by, over, 12 + LEASE);
    assert_int_equal(standing(*state, 12 + LEASE), FERRY_STANDING_INHERITED);
    assert_true(ferry_claims_withdraw(*state, &key, &by));
    ferry_claims_read_void(*state, &key, by);
    by = write_claim(*state, 13 + LEASE, &over);
    ferry_claims_read(*state, &key, by, over, 13 + LEASE);
    assert_int_equal(standing(*state, 13 + LEASE), FERRY_STANDING_OURS); /* the doubt was dealt with */
}

/* Its renewal came into the log before us: it lives. */
static void who_renewed_in_time_is_not_inherited(void **state)
{
    struct ferry_claimant over;
    read_claim(*state, THEM, 5, 10);
    struct ferry_claimant by = write_claim(*state, 11 + LEASE, &over);
    read_claim(*state, THEM, 6, 12 + LEASE);
    ferry_claims_read(*state, &key, by, over, 12 + LEASE);
    assert_int_equal(standing(*state, 12 + LEASE), FERRY_STANDING_OTHERS);
}

static void of_two_heirs_the_first_inherits(void **state)
{
    struct ferry_claimant over;
    read_claim(*state, THEM, 5, 10);
    struct ferry_claimant by = write_claim(*state, 11 + LEASE, &over);
    ferry_claims_read(*state, &key, (struct ferry_claimant){THIRD, 1}, over, 12 + LEASE);
    ferry_claims_read(*state, &key, by, over, 12 + LEASE);
    assert_int_equal(standing(*state, 12 + LEASE), FERRY_STANDING_OTHERS);
}

/* An older claim of ours, whose void was not read yet, says nothing about the new one: another may stand between. */
static void only_the_newest_claim_of_ours_counts(void **state)
{
    struct ferry_claimant over, by = write_claim(*state, 1, &over), end;
    ferry_claims_read(*state, &key, by, over, 2);
    assert_true(ferry_claims_withdraw(*state, &key, &end));
    by = write_claim(*state, 3, &over);
    assert_int_equal(standing(*state, 3), FERRY_STANDING_FREE);
    ferry_claims_read_void(*state, &key, end);
    read_claim(*state, THEM, 1, 4);
    ferry_claims_read(*state, &key, by, over, 4);
    assert_int_equal(standing(*state, 4), FERRY_STANDING_OTHERS);
}

static void a_renewal_does_not_stand_in_for_the_claim_that_is_read_back(void **state)
{
    struct ferry_claimant over, renewed, by = write_claim(*state, 1, &over);
    assert_true(ferry_claims_renew(*state, &key, &renewed));
    assert_true(renewed.serial > by.serial);
    ferry_claims_read(*state, &key, by, over, 2);
    assert_int_equal(standing(*state, 2), FERRY_STANDING_OURS);
    assert_true(ferry_claims_withdraw(*state, &key, &by));
    assert_false(ferry_claims_renew(*state, &key, &renewed));
    assert_false(ferry_claims_withdraw(*state, &key, &by));
}

static void a_claim_that_was_left_is_handed_out_to_be_taken_back(void **state)
{
    struct ferry_claimant over, by = write_claim(*state, 1, &over);
    struct ferry_once_key left;
    size_t count;
    assert_false(ferry_claims_any_left(*state));
    assert_true(ferry_claims_leave(*state, &key));
    assert_true(ferry_claims_take_left(*state, &left));
    assert_memory_equal(&left, &key, sizeof key);
    free(ferry_claims_standing_keys(*state, &count));
    assert_int_equal(count, 1);
    assert_true(ferry_claims_withdraw(*state, &key, &by));
    assert_false(ferry_claims_any_left(*state));
    ferry_claims_forget(*state, &key);
    assert_int_equal(ferry_claims_count(*state), 0);
    assert_null(ferry_claims_standing_keys(*state, &count));
    assert_int_equal(count, 0);
}

static void what_was_never_written_is_simply_forgotten(void **state)
{
    assert_true(ferry_claims_watch(*state, &key, 1));
    assert_false(ferry_claims_leave(*state, &key));
    assert_int_equal(ferry_claims_count(*state), 0);
    assert_false(ferry_claims_leave(*state, &key));
}

/* Else the next would take the effect for one that nobody has begun. */
static void a_doubt_that_was_inherited_is_not_taken_back_with_its_task(void **state)
{
    struct ferry_claimant over;
    read_claim(*state, THEM, 5, 10);
    struct ferry_claimant by = write_claim(*state, 11 + LEASE, &over);
    ferry_claims_read(*state, &key, by, over, 12 + LEASE);
    assert_false(ferry_claims_leave(*state, &key));
    by = write_claim(*state, 13 + LEASE, &over);
    ferry_claims_read(*state, &key, by, over, 13 + LEASE);
    assert_int_equal(standing(*state, 13 + LEASE), FERRY_STANDING_INHERITED);
}

static void claimants_are_text_and_nothing_else_is_one(void **state)
{
    (void)state;
    char text[FERRY_CLAIMANT_TEXT];
    struct ferry_claimant claimant = {UINT64_MAX, UINT64_MAX}, read = {0};
    ferry_claimant_print(&claimant, text);
    assert_string_equal(text, "ffffffffffffffff 18446744073709551615");
    assert_true(ferry_claimant_parse(text, strlen(text), &read));
    assert_memory_equal(&read, &claimant, sizeof read);
    static const char *const wrong[] = {"",
                                        "0000000000000000 1",
                                        "00000000000000ff",
                                        "00000000000000ff 1 ",
                                        "00000000000000FF 1",
                                        "ff 1",
                                        "-0000000000000ff 1",
                                        "00000000000000ff +1",
                                        "00000000000000ff 18446744073709551616",
                                        "00000000000000ff 1844674407370955161500000000000"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(ferry_claimant_parse(wrong[i], strlen(wrong[i]), &read));
    assert_int_equal(read.process, UINT64_MAX);
}

static void many_keys_are_kept_apart_and_stale_ones_go(void **state)
{
    enum { KEYS = 5000 };
    struct ferry_claims *claims = *state;
    for (uint32_t i = 0; i < KEYS; i++) {
        struct ferry_once_key one = {{0}};
        memcpy(one.bytes, &(uint32_t){i * 2654435761u}, sizeof i);
        ferry_claims_read(claims, &one, (struct ferry_claimant){THEM, i + 1}, nobody, 1);
    }
    assert_int_equal(ferry_claims_count(claims), KEYS);
    for (uint32_t i = 0; i < KEYS; i++) {
        struct ferry_once_key one = {{0}};
        memcpy(one.bytes, &(uint32_t){i * 2654435761u}, sizeof i);
        assert_int_equal(ferry_claims_standing(claims, &one, 2, 2), FERRY_STANDING_OTHERS);
    }
    for (uint32_t i = 0; i < 2 * KEYS; i++) {
        struct ferry_once_key one = {{0, 0, 0, 0, 1}};
        memcpy(one.bytes, &i, sizeof i);
        ferry_claims_read(claims, &one, (struct ferry_claimant){THEM, 1}, nobody, WINDOW + 2);
    }
    assert_int_equal(ferry_claims_count(claims), 2 * KEYS);
}

/* ---- processes that run side by side ---- */

enum { PROCESSES = 4, LOG = 4000 };

struct entry {
    enum { CLAIM, VOID } kind;
    struct ferry_claimant by, over;
};

struct world {
    struct entry log[LOG];
    size_t end;
};

struct process {
    struct ferry_claims *claims;
    size_t position, claimed_at;
    enum { IDLE, CLAIMING, AT_WORK } doing;
};

static void read_on(const struct world *world, struct process *process, size_t to, int64_t now)
{
    for (; process->position < to; process->position++) {
        const struct entry *entry = &world->log[process->position];
        if (entry->kind == CLAIM)
            ferry_claims_read(process->claims, &key, entry->by, entry->over, now);
        else if (entry->kind == VOID)
            ferry_claims_read_void(process->claims, &key, entry->by);
    }
}

static void append_claim(struct world *world, struct process *process, int64_t now)
{
    struct entry *entry = &world->log[world->end++];
    assert_true(ferry_claims_watch(process->claims, &key, now));
    entry->kind = CLAIM;
    ferry_claims_write(process->claims, &key, now, &entry->by, &entry->over);
    process->claimed_at = world->end;
    process->doing = CLAIMING;
}

static void append_end(struct world *world, struct process *process)
{
    struct entry *entry = &world->log[world->end++];
    entry->kind = VOID;
    assert_true(ferry_claims_withdraw(process->claims, &key, &entry->by));
    ferry_claims_forget(process->claims, &key);
    process->doing = IDLE;
}

static void append_renewal(struct world *world, struct process *process)
{
    struct ferry_claimant by;
    if (ferry_claims_renew(process->claims, &key, &by))
        world->log[world->end++] = (struct entry){CLAIM, by, nobody};
}

/* Reads to a place somewhere behind its own claim, as a catch-up does, and goes by what it finds. */
static void look(struct world *world, struct process *process, int64_t now)
{
    size_t ahead = world->end - process->claimed_at;
    size_t to = process->claimed_at + (ahead > 0 ? (size_t)rand() % (ahead + 1) : 0);
    read_on(world, process, to > process->position ? to : process->position, now);
    enum ferry_standing found = standing(process->claims, now);
    if (found == FERRY_STANDING_OURS)
        process->doing = AT_WORK;
    else if (found == FERRY_STANDING_FREE)
        append_claim(world, process, now);
    else
        assert_int_equal(found, FERRY_STANDING_OTHERS);
    process->claimed_at =
        process->doing == CLAIMING && found == FERRY_STANDING_OTHERS ? world->end : process->claimed_at;
}

static void however_they_run_only_one_is_at_work(void **state)
{
    (void)state;
    size_t works = 0;
    for (unsigned seed = 1; seed <= 50; seed++) {
        struct world *world = calloc(1, sizeof *world);
        struct process processes[PROCESSES] = {{0}};
        srand(seed);
        for (size_t i = 0; i < PROCESSES; i++)
            processes[i].claims = new_claims(US + i);
        while (world->end < LOG - 2) {
            struct process *process = &processes[rand() % PROCESSES];
            if (process->doing == IDLE)
                append_claim(world, process, 1);
            else if (rand() % 8 == 0)
                append_renewal(world, process);
            else if (process->doing == CLAIMING)
                look(world, process, 1);
            else
                append_end(world, process);
            size_t at_work = 0;
            for (size_t i = 0; i < PROCESSES; i++)
                at_work += processes[i].doing == AT_WORK;
            assert_true(at_work <= 1);
            works += at_work;
        }
        for (size_t i = 0; i < PROCESSES; i++)
            ferry_claims_free(processes[i].claims);
        free(world);
    }
    assert_true(works > 1000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_claim_counts_when_it_was_read_back),
        TEST(the_first_in_the_log_holds_the_key),
        TEST(who_came_too_late_claims_again_after_the_void),
        TEST(nobody_takes_back_what_another_holds),
        TEST(a_mark_ends_a_claim_and_is_told_to_who_waits),
        TEST(a_mark_of_doubt_counts_until_an_operator_decides),
        TEST(who_renews_lives_and_who_does_not_is_dead),
        TEST(what_a_dead_one_left_is_inherited_in_doubt),
        TEST(who_renewed_in_time_is_not_inherited),
        TEST(of_two_heirs_the_first_inherits),
        TEST(only_the_newest_claim_of_ours_counts),
        TEST(a_renewal_does_not_stand_in_for_the_claim_that_is_read_back),
        TEST(a_claim_that_was_left_is_handed_out_to_be_taken_back),
        TEST(what_was_never_written_is_simply_forgotten),
        TEST(a_doubt_that_was_inherited_is_not_taken_back_with_its_task),
        TEST(claimants_are_text_and_nothing_else_is_one),
        TEST(many_keys_are_kept_apart_and_stale_ones_go),
        TEST(however_they_run_only_one_is_at_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
