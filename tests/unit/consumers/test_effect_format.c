/* The keys of "once" outlive every process that made one: a key that is made in another way finds no mark, and the
 * effect takes place a second time. So these must come out as they do for as long as there are marks of this version
 * (docs/upgrade.md). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "consumers/worker.h"

static struct ferry_pair tenant[] = {{FERRY_SLICE_LITERAL("tenantid"), FERRY_SLICE_LITERAL("tenant-1")}};

static struct ferry_event event_of(const char *type, const char *canonical)
{
    return (struct ferry_event){.id = FERRY_SLICE("id-1"),
                                .source = FERRY_SLICE("com.qlik/my-service"),
                                .type = ferry_slice_from(type),
                                .canonical = ferry_slice_from(canonical),
                                .extensions = tenant,
                                .extension_count = 1};
}

static void keys_are_made_as_they_always_were(void **state)
{
    (void)state;
    static const struct ferry_slice members[] = {FERRY_SLICE_LITERAL("tenant-1"), FERRY_SLICE_LITERAL("user-1")};
    static const struct {
        const char *worker, *type, *canonical, *resource, *delete_type;
        size_t once_per;
        const char *key;
    } rows[] = {
        {"mail", "com.qlik.v1.user.created", "user.created", "user-1", "", 2, "684b3c3e2da2d457f4d2e5439e66ac38"},
        {"slack", "com.qlik.app.created", "app.created", "app-1", "", 0, "7345eceee9c90905ff170da54b675d3c"},
        {"slack", "com.qlik.v1.app.created", "app.created", "app-1", "", 0, "7345eceee9c90905ff170da54b675d3c"},
        {"automation", "com.qlik.app.deleted", "app.deleted", "app-1", "SOFT", 0, "78e5f51667cd86192a5eec3b74d3b5e7"},
        {"automation", "com.qlik.app.deleted", "app.deleted", "app-1", "HARD", 0, "3ccfdc5a79d7d94ebad0a2e6460edf99"},
        {"slack", "com.qlik.v1.reload.finished", "reload.finished", "reload-1", "", 0,
         "f3dbb7ba6ef0cac26d80c017e1a08e8f"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ferry_event event = event_of(rows[i].type, rows[i].canonical);
        char key[FERRY_EFFECT_KEY];
        ferry_effect_key(rows[i].worker, "route", &event, ferry_slice_from(rows[i].resource),
                         ferry_slice_from(rows[i].delete_type), members, rows[i].once_per, key);
        assert_string_equal(key, rows[i].key);
    }
}

static void the_key_of_what_is_done_again_is_made_as_it_always_was(void **state)
{
    (void)state;
    char key[FERRY_EFFECT_KEY] = "0123456789abcdef0123456789abcdef";
    ferry_effect_key_again(FERRY_SLICE("20261122T100000-1f0c9a"), key);
    assert_string_equal(key, "73985bfe107c6ce654d421c5d77667ca");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_made_as_they_always_were),
        cmocka_unit_test(the_key_of_what_is_done_again_is_made_as_it_always_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
