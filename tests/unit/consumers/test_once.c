#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "consumers/once.h"
#include "consumers/worker.h"

static struct ferry_once_key key_of(unsigned number)
{
    struct ferry_once_key key;
    for (size_t i = 0; i < sizeof key.bytes; i++)
        key.bytes[i] = (unsigned char)((number * 2654435761u) >> (i % 4 * 8)) ^ (unsigned char)(i * 7);
    memcpy(key.bytes + 8, &number, sizeof number);
    return key;
}

static void an_effect_is_ours_then_busy_then_done(void **state)
{
    (void)state;
    struct ferry_once *once = ferry_once_new(1000, 100);
    struct ferry_once_key key = key_of(1);
    assert_int_equal(ferry_once_claim(once, &key, 10), FERRY_CLAIM_OURS);
    assert_int_equal(ferry_once_claim(once, &key, 11), FERRY_CLAIM_BUSY);
    ferry_once_mark(once, &key, 12);
    assert_int_equal(ferry_once_claim(once, &key, 13), FERRY_CLAIM_DONE);
    ferry_once_release(once, &key); /* no claim any more: the mark stays */
    assert_int_equal(ferry_once_claim(once, &key, 14), FERRY_CLAIM_DONE);
    ferry_once_free(once);
}

static void what_did_not_take_effect_may_be_tried_by_the_next(void **state)
{
    (void)state;
    struct ferry_once *once = ferry_once_new(1000, 100);
    struct ferry_once_key key = key_of(1);
    assert_int_equal(ferry_once_claim(once, &key, 10), FERRY_CLAIM_OURS);
    ferry_once_release(once, &key);
    assert_int_equal(ferry_once_claim(once, &key, 10), FERRY_CLAIM_OURS);
    ferry_once_free(once);
}

static void a_mark_is_forgotten_when_the_window_is_over(void **state)
{
    (void)state;
    struct ferry_once *once = ferry_once_new(1000, 100);
    struct ferry_once_key key = key_of(1);
    ferry_once_mark(once, &key, 10);
    assert_int_equal(ferry_once_claim(once, &key, 1009), FERRY_CLAIM_DONE);
    assert_int_equal(ferry_once_claim(once, &key, 1010), FERRY_CLAIM_OURS);
    ferry_once_mark(once, &key, 1500);
    assert_int_equal(ferry_once_claim(once, &key, 2000), FERRY_CLAIM_DONE);
    ferry_once_free(once);
}

static void a_renewed_mark_lives_from_its_renewal(void **state)
{
    (void)state;
    struct ferry_once *once = ferry_once_new(1000, 100);
    struct ferry_once_key key = key_of(1);
    ferry_once_mark(once, &key, 10);
    ferry_once_mark(once, &key, 900);
    assert_int_equal(ferry_once_claim(once, &key, 1500), FERRY_CLAIM_DONE);
    assert_int_equal(ferry_once_marks(once), 1);
    ferry_once_free(once);
}

/* Marks that are read back from a log come in their own order. */
static void an_old_mark_behind_a_young_one_counts_by_its_time(void **state)
{
    (void)state;
    struct ferry_once *once = ferry_once_new(1000, 100);
    struct ferry_once_key young = key_of(1), old = key_of(2);
    ferry_once_mark(once, &young, 5000);
    ferry_once_mark(once, &old, 4100);
    assert_int_equal(ferry_once_claim(once, &old, 5099), FERRY_CLAIM_DONE);
    assert_int_equal(ferry_once_claim(once, &old, 5100), FERRY_CLAIM_OURS);
    ferry_once_free(once);
}

static void over_the_most_keys_the_oldest_gives_way(void **state)
{
    (void)state;
    struct ferry_once *once = ferry_once_new(1000000, 1500);
    for (unsigned i = 0; i < 4000; i++) {
        struct ferry_once_key key = key_of(i);
        ferry_once_mark(once, &key, 10 + i);
    }
    assert_int_equal(ferry_once_marks(once), 1500);
    for (unsigned i = 0; i < 4000; i++) {
        struct ferry_once_key key = key_of(i);
        enum ferry_claim claim = ferry_once_claim(once, &key, 5000);
        assert_int_equal(claim, i < 2500 ? FERRY_CLAIM_OURS : FERRY_CLAIM_DONE);
    }
    ferry_once_free(once);
}

/* Against a plain table, through collisions, deletions and growth. */
static void a_long_random_life_agrees_with_a_plain_table(void **state)
{
    (void)state;
    enum { KEYS = 3000, STEPS = 200000, WINDOW = 5000 };
    struct ferry_once *once = ferry_once_new(WINDOW, 1000000);
    int64_t *marked = calloc(KEYS, sizeof *marked);
    bool *claimed = calloc(KEYS, sizeof *claimed);
    srand(5);
    for (int64_t now = 1; now < STEPS; now++) {
        unsigned i = (unsigned)rand() % KEYS;
        struct ferry_once_key key = key_of(i);
        if (rand() % 2 == 0) {
            enum ferry_claim expected = claimed[i]                                   ? FERRY_CLAIM_BUSY
                                        : marked[i] != 0 && marked[i] + WINDOW > now ? FERRY_CLAIM_DONE
                                                                                     : FERRY_CLAIM_OURS;
            assert_int_equal(ferry_once_claim(once, &key, now), expected);
            if (expected == FERRY_CLAIM_OURS)
                marked[i] = 0;
            claimed[i] = claimed[i] || expected == FERRY_CLAIM_OURS;
        } else if (claimed[i] && rand() % 2 == 0) {
            ferry_once_release(once, &key);
            claimed[i] = false;
        } else if (claimed[i]) {
            ferry_once_mark(once, &key, now);
            marked[i] = now;
            claimed[i] = false;
        }
    }
    free(marked);
    free(claimed);
    ferry_once_free(once);
}

/* ---- marks that are read back ---- */

static void what_was_read_back_is_done(void **state)
{
    (void)state;
    struct ferry_once *once = ferry_once_new(1000, 100);
    struct ferry_once_key key = key_of(1);
    ferry_once_restore(once, &key, 10);
    ferry_once_restore(once, &key, 10); /* read twice, by two partitions of one number */
    assert_int_equal(ferry_once_marks(once), 1);
    assert_int_equal(ferry_once_claim(once, &key, 500), FERRY_CLAIM_DONE);
    ferry_once_free(once);
}

static void only_a_mark_inside_the_window_says_done(void **state)
{
    (void)state;
    struct ferry_once *once = ferry_once_new(1000, 100);
    struct ferry_once_key done = key_of(1), claimed = key_of(2), doubt = key_of(3), intent = key_of(4);
    ferry_once_restore(once, &done, 10);
    assert_int_equal(ferry_once_claim(once, &claimed, 10), FERRY_CLAIM_OURS);
    ferry_once_restore_doubt(once, &doubt, 10);
    ferry_once_restore_intent(once, &intent, 10);
    assert_true(ferry_once_is_done(once, &done, 1009));
    assert_false(ferry_once_is_done(once, &done, 1010));
    assert_false(ferry_once_is_done(once, &claimed, 11));
    assert_false(ferry_once_is_done(once, &doubt, 11));
    assert_false(ferry_once_is_done(once, &intent, 11));
    ferry_once_free(once);
}

static void an_intent_alone_is_in_doubt_once(void **state)
{
    (void)state;
    struct ferry_once *once = ferry_once_new(1000, 100);
    struct ferry_once_key key = key_of(1);
    ferry_once_restore_intent(once, &key, 10);
    assert_int_equal(ferry_once_claim(once, &key, 500), FERRY_CLAIM_DOUBT);
    assert_int_equal(ferry_once_claim(once, &key, 500), FERRY_CLAIM_BUSY);
    ferry_once_mark(once, &key, 501);
    assert_int_equal(ferry_once_claim(once, &key, 502), FERRY_CLAIM_DONE);
    ferry_once_free(once);
}

static void a_mark_behind_an_intent_says_done(void **state)
{
    (void)state;
    struct ferry_once *once = ferry_once_new(1000, 100);
    struct ferry_once_key key = key_of(1);
    ferry_once_restore_intent(once, &key, 10);
    ferry_once_restore(once, &key, 10);
    assert_int_equal(ferry_once_claim(once, &key, 500), FERRY_CLAIM_DONE);
    ferry_once_restore_intent(once, &key, 20); /* the log is read again from its beginning */
    assert_int_equal(ferry_once_claim(once, &key, 500), FERRY_CLAIM_DONE);
    ferry_once_free(once);
}

static void an_intent_that_was_taken_back_is_nothing(void **state)
{
    (void)state;
    struct ferry_once *once = ferry_once_new(1000, 100);
    struct ferry_once_key key = key_of(1), done = key_of(2);
    ferry_once_restore_intent(once, &key, 10);
    ferry_once_restore_void(once, &key);
    assert_int_equal(ferry_once_marks(once), 0);
    assert_int_equal(ferry_once_claim(once, &key, 500), FERRY_CLAIM_OURS);
    ferry_once_restore(once, &done, 10);
    ferry_once_restore_void(once, &done);
    assert_int_equal(ferry_once_claim(once, &done, 500), FERRY_CLAIM_DONE);
    ferry_once_free(once);
}

static void a_claim_of_our_own_knows_better_than_the_log(void **state)
{
    (void)state;
    struct ferry_once *once = ferry_once_new(1000, 100);
    struct ferry_once_key key = key_of(1);
    assert_int_equal(ferry_once_claim(once, &key, 10), FERRY_CLAIM_OURS);
    ferry_once_restore_intent(once, &key, 5);
    ferry_once_restore_void(once, &key);
    ferry_once_restore(once, &key, 6);
    assert_int_equal(ferry_once_claim(once, &key, 11), FERRY_CLAIM_BUSY);
    ferry_once_release(once, &key);
    assert_int_equal(ferry_once_claim(once, &key, 12), FERRY_CLAIM_OURS);
    ferry_once_free(once);
}

static void intents_expire_with_the_window(void **state)
{
    (void)state;
    struct ferry_once *once = ferry_once_new(1000, 100);
    struct ferry_once_key key = key_of(1);
    ferry_once_restore_intent(once, &key, 10);
    assert_int_equal(ferry_once_claim(once, &key, 1010), FERRY_CLAIM_OURS);
    ferry_once_free(once);
}

static void what_is_in_doubt_counts_as_had_until_somebody_decides(void **state)
{
    (void)state;
    struct ferry_once *once = ferry_once_new(100000, 100);
    struct ferry_once_key doubt = key_of(1), done = key_of(2);
    ferry_once_mark_doubt(once, &doubt, 10);
    ferry_once_mark(once, &done, 10);
    assert_int_equal(ferry_once_claim(once, &doubt, 20), FERRY_CLAIM_DONE);
    ferry_once_absolve(once, &doubt);
    ferry_once_absolve(once, &done);
    assert_int_equal(ferry_once_claim(once, &doubt, 20), FERRY_CLAIM_OURS);
    assert_int_equal(ferry_once_claim(once, &done, 20), FERRY_CLAIM_DONE);
    ferry_once_absolve(once, &doubt); /* no claim is taken away */
    assert_int_equal(ferry_once_claim(once, &doubt, 20), FERRY_CLAIM_BUSY);
    ferry_once_free(once);
}

static void an_intent_after_a_doubt_is_one_more_call_that_nobody_saw_the_end_of(void **state)
{
    (void)state;
    struct ferry_once *once = ferry_once_new(100000, 100);
    struct ferry_once_key key = key_of(1);
    ferry_once_restore_intent(once, &key, 10);
    ferry_once_restore_doubt(once, &key, 20);
    assert_int_equal(ferry_once_claim(once, &key, 30), FERRY_CLAIM_DONE);
    ferry_once_restore_intent(once, &key, 15); /* read again */
    assert_int_equal(ferry_once_claim(once, &key, 30), FERRY_CLAIM_DONE);
    ferry_once_restore_intent(once, &key, 25); /* a redrive that a worker died in */
    ferry_once_absolve(once, &key);
    assert_int_equal(ferry_once_claim(once, &key, 30), FERRY_CLAIM_DOUBT);
    ferry_once_free(once);
}

static void an_own_mark_that_is_read_back_is_no_second_one(void **state)
{
    (void)state;
    struct ferry_once *once = ferry_once_new(100000, 2);
    struct ferry_once_key first = key_of(1), second = key_of(2);
    ferry_once_mark(once, &first, 10);
    ferry_once_mark(once, &second, 20);
    for (int64_t read = 0; read < 5; read++)
        ferry_once_restore(once, &second, 25); /* Kafka's time of it */
    assert_int_equal(ferry_once_claim(once, &first, 30), FERRY_CLAIM_DONE);
    ferry_once_free(once);
}

/* ---- effect keys ---- */

static void a_run_has_its_effects_once_more_and_each_once(void **state)
{
    (void)state;
    char plain[FERRY_EFFECT_KEY] = "0123456789abcdef0123456789abcdef", first[FERRY_EFFECT_KEY], same[FERRY_EFFECT_KEY],
         other[FERRY_EFFECT_KEY];
    memcpy(first, plain, sizeof plain);
    memcpy(same, plain, sizeof plain);
    memcpy(other, plain, sizeof plain);
    ferry_effect_key_again(FERRY_SLICE("run-1"), first);
    ferry_effect_key_again(FERRY_SLICE("run-1"), same);
    ferry_effect_key_again(FERRY_SLICE("run-2"), other);
    assert_string_equal(first, same);
    assert_string_not_equal(first, other);
    assert_string_not_equal(first, plain);
}

static struct ferry_pair extensions[] = {{FERRY_SLICE_LITERAL("tenantid"), FERRY_SLICE_LITERAL("t1")}};

static struct ferry_event event_of(const char *type, const char *canonical, const char *id)
{
    return (struct ferry_event){.id = ferry_slice_from(id),
                                .source = FERRY_SLICE("com.qlik/my-service"),
                                .type = ferry_slice_from(type),
                                .canonical = ferry_slice_from(canonical),
                                .extensions = extensions,
                                .extension_count = 1};
}

static const char *key(const char *route, const struct ferry_event *event, const char *resource,
                       const char *delete_type, char out[FERRY_EFFECT_KEY])
{
    ferry_effect_key("slack", route, event, ferry_slice_from(resource), ferry_slice_from(delete_type), NULL, 0, out);
    return out;
}

static void two_names_of_one_creation_have_one_key(void **state)
{
    (void)state;
    char a[FERRY_EFFECT_KEY], b[FERRY_EFFECT_KEY];
    struct ferry_event old = event_of("com.qlik.v1.app.created", "app.created", "1");
    struct ferry_event new = event_of("com.qlik.app.created", "app.created", "2");
    assert_string_equal(key("r", &old, "app-1", NULL, a), key("r", &new, "app-1", NULL, b));
    assert_int_equal(strlen(a), 32);
    assert_int_equal(strspn(a, "0123456789abcdef"), 32);
    assert_string_not_equal(key("r", &old, "app-1", NULL, a), key("r", &old, "app-2", NULL, b));
    assert_string_not_equal(key("r", &old, "app-1", NULL, a), key("s", &old, "app-1", NULL, b));
}

static void an_update_goes_by_its_id(void **state)
{
    (void)state;
    char a[FERRY_EFFECT_KEY], b[FERRY_EFFECT_KEY];
    struct ferry_event first = event_of("com.qlik.app.updated", "app.updated", "1");
    struct ferry_event second = event_of("com.qlik.app.updated", "app.updated", "2");
    assert_string_not_equal(key("r", &first, "app-1", NULL, a), key("r", &second, "app-1", NULL, b));
    assert_string_equal(key("r", &first, "app-1", NULL, a), key("r", &first, "app-2", NULL, b));
}

/* Who is told so does not look for the resource. */
static void what_does_not_go_by_its_resource_is_told_beforehand(void **state)
{
    (void)state;
    struct ferry_event created = event_of("com.qlik.app.created", "app.created", "1");
    struct ferry_event deleted = event_of("com.qlik.app.deleted", "app.deleted", "1");
    struct ferry_event updated = event_of("com.qlik.app.updated", "app.updated", "1");
    struct ferry_event others = event_of("com.acme.order.created", "com.acme.order.created", "1");
    assert_true(ferry_effect_key_by_resource(&created));
    assert_true(ferry_effect_key_by_resource(&deleted));
    assert_false(ferry_effect_key_by_resource(&updated));
    assert_false(ferry_effect_key_by_resource(&others));
    created.extension_count = 0; /* no tenant */
    assert_false(ferry_effect_key_by_resource(&created));
}

static void another_senders_creation_goes_by_its_id(void **state)
{
    (void)state;
    char a[FERRY_EFFECT_KEY], b[FERRY_EFFECT_KEY];
    struct ferry_event first = event_of("com.acme.order.created", "com.acme.order.created", "1");
    struct ferry_event second = event_of("com.acme.order.created", "com.acme.order.created", "2");
    assert_string_not_equal(key("r", &first, "o", NULL, a), key("r", &second, "o", NULL, b));
}

static void without_a_tenant_or_a_resource_the_id_decides(void **state)
{
    (void)state;
    char a[FERRY_EFFECT_KEY], b[FERRY_EFFECT_KEY];
    struct ferry_event first = event_of("com.qlik.app.created", "app.created", "1");
    struct ferry_event second = event_of("com.qlik.app.created", "app.created", "2");
    assert_string_not_equal(key("r", &first, NULL, NULL, a), key("r", &second, NULL, NULL, b));
    first.extension_count = second.extension_count = 0;
    assert_string_not_equal(key("r", &first, "app", NULL, a), key("r", &second, "app", NULL, b));
}

static void a_soft_and_a_hard_deletion_of_an_app_are_two(void **state)
{
    (void)state;
    char a[FERRY_EFFECT_KEY], b[FERRY_EFFECT_KEY];
    struct ferry_event app = event_of("com.qlik.app.deleted", "app.deleted", "1");
    assert_string_not_equal(key("r", &app, "x", "SOFT", a), key("r", &app, "x", "HARD", b));
    struct ferry_event user = event_of("com.qlik.user.deleted", "user.deleted", "1");
    assert_string_equal(key("r", &user, "x", "SOFT", a), key("r", &user, "x", "HARD", b));
}

static void members_of_once_per_do_not_run_together(void **state)
{
    (void)state;
    char a[FERRY_EFFECT_KEY], b[FERRY_EFFECT_KEY];
    struct ferry_event event = event_of("com.qlik.app.created", "app.created", "1");
    const struct ferry_slice first[] = {FERRY_SLICE_LITERAL("ab"), FERRY_SLICE_LITERAL("c")};
    const struct ferry_slice second[] = {FERRY_SLICE_LITERAL("a"), FERRY_SLICE_LITERAL("bc")};
    const struct ferry_slice none = {0};
    ferry_effect_key("mail", "r", &event, none, none, first, 2, a);
    ferry_effect_key("mail", "r", &event, none, none, second, 2, b);
    assert_string_not_equal(a, b);
    event.id = FERRY_SLICE("another");
    ferry_effect_key("mail", "r", &event, none, none, first, 2, b);
    assert_string_equal(a, b);
}

static void a_key_in_hex_is_its_bytes(void **state)
{
    (void)state;
    struct ferry_once_key parsed = ferry_once_key_parse("00ff10a9000000000000000000000001");
    assert_int_equal(parsed.bytes[0], 0x00);
    assert_int_equal(parsed.bytes[1], 0xff);
    assert_int_equal(parsed.bytes[2], 0x10);
    assert_int_equal(parsed.bytes[3], 0xa9);
    assert_int_equal(parsed.bytes[15], 0x01);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_effect_is_ours_then_busy_then_done),
        cmocka_unit_test(what_did_not_take_effect_may_be_tried_by_the_next),
        cmocka_unit_test(a_mark_is_forgotten_when_the_window_is_over),
        cmocka_unit_test(a_renewed_mark_lives_from_its_renewal),
        cmocka_unit_test(an_old_mark_behind_a_young_one_counts_by_its_time),
        cmocka_unit_test(over_the_most_keys_the_oldest_gives_way),
        cmocka_unit_test(a_long_random_life_agrees_with_a_plain_table),
        cmocka_unit_test(what_was_read_back_is_done),
        cmocka_unit_test(only_a_mark_inside_the_window_says_done),
        cmocka_unit_test(an_intent_alone_is_in_doubt_once),
        cmocka_unit_test(a_mark_behind_an_intent_says_done),
        cmocka_unit_test(an_intent_that_was_taken_back_is_nothing),
        cmocka_unit_test(a_claim_of_our_own_knows_better_than_the_log),
        cmocka_unit_test(intents_expire_with_the_window),
        cmocka_unit_test(what_is_in_doubt_counts_as_had_until_somebody_decides),
        cmocka_unit_test(an_intent_after_a_doubt_is_one_more_call_that_nobody_saw_the_end_of),
        cmocka_unit_test(an_own_mark_that_is_read_back_is_no_second_one),
        cmocka_unit_test(a_run_has_its_effects_once_more_and_each_once),
        cmocka_unit_test(two_names_of_one_creation_have_one_key),
        cmocka_unit_test(an_update_goes_by_its_id),
        cmocka_unit_test(what_does_not_go_by_its_resource_is_told_beforehand),
        cmocka_unit_test(another_senders_creation_goes_by_its_id),
        cmocka_unit_test(without_a_tenant_or_a_resource_the_id_decides),
        cmocka_unit_test(a_soft_and_a_hard_deletion_of_an_app_are_two),
        cmocka_unit_test(members_of_once_per_do_not_run_together),
        cmocka_unit_test(a_key_in_hex_is_its_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
