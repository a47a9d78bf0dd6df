/* Who may write a tenant's checkpoint, and when, with a mock broker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "../kafka/cluster.h"
#include "bridge/audits/log.h"

static const char tenant[] = "https://acme.eu.qlikcloud.com";

static void ignore_change(void *context)
{
    (void)context;
}

/* A page at hand while the bridge leaves the group. */
struct page {
    struct ferry_audits_log *log;
    int turn;
    enum ferry_code code;
};

static void *write_when_it_is_given_up(void *context)
{
    struct page *page = context;
    const struct ferry_audits_checkpoint checkpoint = {.epoch = 3, .sequence = 1, .position_ms = 1000};
    while (ferry_audits_log_term(page->log, tenant) != 0)
        pause_ms(2);
    page->code = ferry_audits_log_write(page->log, tenant, &checkpoint, NULL);
    ferry_audits_log_rest(page->log, page->turn);
    return NULL;
}

static struct ferry_audits_log *join(const struct ferry_config *config)
{
    const struct ferry_audits_log_listener listener = {NULL, ignore_change};
    struct ferry_audits_log *log = NULL;
    int64_t until_ms = ferry_clock_mono_ms() + 30000;
    assert_int_equal(ferry_audits_log_open(config, &listener, &log, NULL), FERRY_OK);
    while (ferry_audits_log_term(log, tenant) == 0 && ferry_clock_mono_ms() < until_ms)
        ferry_audits_log_tend(log, 20);
    assert_int_not_equal(ferry_audits_log_term(log, tenant), 0);
    return log;
}

static void a_page_at_hand_is_written_down_before_its_tenant_is_handed_over(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_start();
    cluster_topic(cluster, "ferry.audits", 2);
    char internal[] = "ferry";
    const struct ferry_config config = {.kafka = cluster->properties, .topics = {.internal = internal}};
    struct page page = {.log = join(&config), .code = FERRY_SYSTEM};
    page.turn = ferry_audits_log_work(page.log, tenant);
    assert_true(page.turn >= 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_when_it_is_given_up, &page), 0);
    ferry_audits_log_leave(page.log);
    pthread_join(thread, NULL);
    assert_int_equal(page.code, FERRY_OK);
    assert_int_equal(ferry_audits_log_work(page.log, tenant), -1);
    const struct ferry_audits_checkpoint late = {.epoch = 3, .sequence = 2};
    assert_int_equal(ferry_audits_log_write(page.log, tenant, &late, NULL), FERRY_STOPPING);
    ferry_audits_log_close(page.log);

    struct ferry_audits_log *next = join(&config);
    struct ferry_audits_checkpoint found = {0};
    bool any = false;
    assert_int_equal(ferry_audits_log_read(next, tenant, &found, &any, NULL), FERRY_OK);
    assert_true(any);
    assert_int_equal(found.epoch, 3);
    assert_int_equal(found.sequence, 1);
    ferry_audits_checkpoint_done(&found);
    ferry_audits_log_leave(next);
    ferry_audits_log_close(next);
    cluster_stop(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_at_hand_is_written_down_before_its_tenant_is_handed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
