#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "core/derived_key.h"

static const char opener[] = "a-parent-key-of-32-characters-ok";
static const char other[] = "another-key-of-32-characters-yes";
/* By Python's hmac and base64. */
static const char phone[] = "phone.MDAzvzQHvzotHZabkrVOUlIQiwqTe35Qvfxxaxu618U";

static const char *const ended[] = {"lost", "phone.old"};
static const struct ferry_trigger_key keys[] = {
    {.name = "script", .secret = {(char *)other, sizeof other - 1}},
    {.name = "office", .secret = {(char *)opener, sizeof opener - 1}},
    {.name = "unresolved"},
};
static const struct ferry_trigger_config nightly = {
    .name = "nightly", .keys = keys, .key_count = 3, .revoked = {ended, 2}};

static struct ferry_slice key_of(const char *parent, const char *trigger, const char *label,
                                 char room[FERRY_DERIVED_KEY_ROOM])
{
    assert_true(ferry_derived_key_make(ferry_slice_from(parent), trigger, ferry_slice_from(label), room));
    return ferry_slice_from(room);
}

static bool opens(struct ferry_slice text, struct ferry_derived_key *found)
{
    *found = (struct ferry_derived_key){NULL, {NULL, 0}, false};
    return ferry_derived_key_verify(&nightly, text, found);
}

static void a_key_is_its_label_and_an_hmac_that_anybody_can_recompute(void **state)
{
    (void)state;
    char room[FERRY_DERIVED_KEY_ROOM];
    assert_true(ferry_slice_is(key_of(opener, "nightly", "phone", room), phone));
}

static void a_key_names_its_label_and_the_key_that_it_comes_from(void **state)
{
    (void)state;
    static const char *const labels[] = {"phone", "a", "phone.of.Ann", "x.y_z-1", "phone.older", "lost2"};
    for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++) {
        for (size_t parent = 0; parent < 2; parent++) {
            char room[FERRY_DERIVED_KEY_ROOM];
            struct ferry_derived_key found;
            assert_true(opens(key_of(keys[parent].secret.ptr, "nightly", labels[i], room), &found));
            assert_ptr_equal(found.parent, &keys[parent]);
            assert_true(ferry_slice_is(found.label, labels[i]));
            assert_false(found.revoked);
        }
    }
}

static void the_longest_label_fits(void **state)
{
    (void)state;
    char label[FERRY_DERIVED_LABEL_MAX + 1], room[FERRY_DERIVED_KEY_ROOM];
    memset(label, 'x', sizeof label - 1);
    label[sizeof label - 1] = '\0';
    struct ferry_derived_key found;
    struct ferry_slice key = key_of(opener, "nightly", label, room);
    assert_int_equal(key.len, FERRY_DERIVED_KEY_ROOM - 1);
    assert_true(opens(key, &found));
}

static void a_key_opens_no_other_trigger_and_not_under_another_label(void **state)
{
    (void)state;
    char room[FERRY_DERIVED_KEY_ROOM], changed[FERRY_DERIVED_KEY_ROOM + 8];
    struct ferry_derived_key found;
    assert_false(opens(key_of(opener, "nightly2", "phone", room), &found));
    assert_false(opens(key_of("a-key-that-is-configured-nowhere", "nightly", "phone", room), &found));
    struct ferry_slice good = key_of(opener, "nightly", "phone", room);
    (void)snprintf(changed, sizeof changed, "phone2%s", good.ptr + 5);
    assert_false(opens(ferry_slice_from(changed), &found));
    (void)snprintf(changed, sizeof changed, "Phone%s", good.ptr + 5);
    assert_false(opens(ferry_slice_from(changed), &found));
    assert_null(found.parent);
}

static void a_key_with_any_letter_changed_is_refused(void **state)
{
    (void)state;
    char room[FERRY_DERIVED_KEY_ROOM];
    struct ferry_derived_key found;
    struct ferry_slice good = key_of(opener, "nightly", "phone", room);
    for (size_t i = 0; i < good.len; i++) {
        char kept = room[i];
        room[i] = kept == 'A' ? 'B' : 'A';
        assert_false(opens(good, &found));
        room[i] = kept;
    }
    assert_true(opens(good, &found));
}

static void what_has_not_the_shape_is_no_derived_key(void **state)
{
    (void)state;
    char long_label[FERRY_DERIVED_KEY_ROOM + 2], no_dot[sizeof phone];
    (void)snprintf(no_dot, sizeof no_dot, "%s", phone);
    no_dot[5] = '-';
    memset(long_label, 'x', sizeof long_label);
    memcpy(long_label + FERRY_DERIVED_LABEL_MAX + 1, phone + 5, sizeof phone - 5);
    const char *const wrong[] = {"", ".", "phone", "phone.", no_dot, phone + 5, phone + 6, long_label, opener, "kit"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct ferry_derived_key found;
        if (opens(ferry_slice_from(wrong[i]), &found))
            fail_msg("opened by \"%s\"", wrong[i]);
    }
    struct ferry_derived_key found;
    assert_false(opens((struct ferry_slice){NULL, 0}, &found));
}

static void a_revoked_label_and_those_under_it_are_known_but_open_nothing(void **state)
{
    (void)state;
    char room[FERRY_DERIVED_KEY_ROOM];
    struct ferry_derived_key found;
    assert_true(opens(key_of(opener, "nightly", "lost", room), &found));
    assert_true(found.revoked);
    assert_true(opens(key_of(other, "nightly", "phone.old", room), &found));
    assert_true(found.revoked);
    /* What a person made goes with the person. */
    assert_true(opens(key_of(opener, "nightly", "lost.curl", room), &found));
    assert_true(found.revoked);
    assert_true(opens(key_of(opener, "nightly", "phone.old.2", room), &found));
    assert_true(found.revoked);
    /* Who guesses learns nothing of what is revoked. */
    assert_false(opens(FERRY_SLICE("lost.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), &found));
}

static void labels_are_names_as_the_configuration_has_them(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "Z9", "phone-of_Ann.2", "0"};
    static const char *const wrong[] = {"", ".a", "-a", "_a", "a b", "a/b", "ä", "a\n", "a%", "a<b", "a'b"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(ferry_derived_label_is_valid(ferry_slice_from(good[i])));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(ferry_derived_label_is_valid(ferry_slice_from(wrong[i])));
    assert_false(ferry_derived_label_is_valid(ferry_slice_of("a\0b", 3)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_its_label_and_an_hmac_that_anybody_can_recompute),
        cmocka_unit_test(a_key_names_its_label_and_the_key_that_it_comes_from),
        cmocka_unit_test(the_longest_label_fits),
        cmocka_unit_test(a_key_opens_no_other_trigger_and_not_under_another_label),
        cmocka_unit_test(a_key_with_any_letter_changed_is_refused),
        cmocka_unit_test(what_has_not_the_shape_is_no_derived_key),
        cmocka_unit_test(a_revoked_label_and_those_under_it_are_known_but_open_nothing),
        cmocka_unit_test(labels_are_names_as_the_configuration_has_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
