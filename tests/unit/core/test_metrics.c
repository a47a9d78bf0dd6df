#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/metrics.h"

static const char *const path_status[] = {"path", "status", NULL};

static char *printed(struct ferry_metrics *metrics)
{
    struct ferry_buffer out;
    ferry_buffer_init(&out, 64 << 20);
    ferry_metrics_print(metrics, &out);
    char *text = ferry_buffer_take(&out);
    assert_non_null(text);
    return text;
}

static void assert_prints(struct ferry_metrics *metrics, const char *expected)
{
    char *text = printed(metrics);
    assert_string_equal(text, expected);
    free(text);
}

static void a_counter_is_printed_with_its_help_and_type(void **state)
{
    (void)state;
    struct ferry_metrics *metrics = ferry_metrics_new();
    struct ferry_metric *family =
        ferry_metrics_family(metrics, FERRY_COUNTER, "ferry_http_requests_total", "Requests answered.", path_status);
    struct ferry_slice values[] = {FERRY_SLICE("/webhooks/qlik"), FERRY_SLICE("204")};
    ferry_series_add(ferry_metric_series(family, values), 2);
    ferry_series_add(ferry_metric_series(family, values), 1);
    assert_prints(metrics, "# HELP ferry_http_requests_total Requests answered.\n"
                           "# TYPE ferry_http_requests_total counter\n"
                           "ferry_http_requests_total{path=\"/webhooks/qlik\",status=\"204\"} 3\n");
    ferry_metrics_free(metrics);
}

static void families_are_sorted_by_name(void **state)
{
    (void)state;
    struct ferry_metrics *metrics = ferry_metrics_new();
    static const char *const names[] = {"b", "c", "a"};
    for (size_t i = 0; i < 3; i++)
        ferry_metric_series(ferry_metrics_family(metrics, FERRY_GAUGE, names[i], "h", NULL), NULL);
    assert_prints(metrics, "# HELP a h\n# TYPE a gauge\na 0\n# HELP b h\n# TYPE b gauge\nb 0\n"
                           "# HELP c h\n# TYPE c gauge\nc 0\n");
    ferry_metrics_free(metrics);
}

static void a_family_is_made_once(void **state)
{
    (void)state;
    struct ferry_metrics *metrics = ferry_metrics_new();
    struct ferry_metric *family = ferry_metrics_family(metrics, FERRY_GAUGE, "g", "h", NULL);
    assert_ptr_equal(family, ferry_metrics_family(metrics, FERRY_GAUGE, "g", "h", NULL));
    assert_ptr_equal(ferry_metric_series(family, NULL), ferry_metric_series(family, NULL));
    ferry_metrics_free(metrics);
}

static void label_values_are_escaped(void **state)
{
    (void)state;
    struct ferry_metrics *metrics = ferry_metrics_new();
    static const char *const labels[] = {"l", NULL};
    struct ferry_metric *family = ferry_metrics_family(metrics, FERRY_GAUGE, "g", "h", labels);
    struct ferry_slice value = FERRY_SLICE("a\"b\\c\nd\xFF\xC3\xA5");
    ferry_metric_series(family, &value);
    assert_prints(metrics, "# HELP g h\n# TYPE g gauge\ng{l=\"a\\\"b\\\\c\\nd\xEF\xBF\xBD\xC3\xA5\"} 0\n");
    ferry_metrics_free(metrics);
}

static void a_gauge_goes_up_and_down(void **state)
{
    (void)state;
    struct ferry_metrics *metrics = ferry_metrics_new();
    struct ferry_series *series = ferry_metric_series(ferry_metrics_family(metrics, FERRY_GAUGE, "g", "h", NULL), NULL);
    ferry_series_add(series, 3);
    ferry_series_add(series, (uint64_t)-1);
    assert_true(ferry_series_value(series) == 2);
    ferry_series_set(series, 0.1);
    assert_prints(metrics, "# HELP g h\n# TYPE g gauge\ng 0.1\n");
    ferry_series_set(series, 1763838687.123);
    assert_prints(metrics, "# HELP g h\n# TYPE g gauge\ng 1763838687.123\n");
    ferry_metrics_free(metrics);
}

static void a_histogram_has_cumulative_buckets_a_sum_and_a_count(void **state)
{
    (void)state;
    struct ferry_metrics *metrics = ferry_metrics_new();
    struct ferry_series *series =
        ferry_metric_series(ferry_metrics_family(metrics, FERRY_HISTOGRAM, "ferry_produce_seconds", "h", NULL), NULL);
    static const double observed[] = {-5, 0.5, 0.6, 1000, 100000};
    for (size_t i = 0; i < 5; i++)
        ferry_series_observe_ms(series, observed[i]);
    assert_true(ferry_series_value(series) == 5);
    char *text = printed(metrics);
    static const char *const lines[] = {
        "# TYPE ferry_produce_seconds histogram\n",
        "\nferry_produce_seconds_bucket{le=\"0.0005\"} 2\n", /* a bound belongs to its bucket */
        "\nferry_produce_seconds_bucket{le=\"0.001\"} 3\n",
        "\nferry_produce_seconds_bucket{le=\"0.5\"} 3\n",
        "\nferry_produce_seconds_bucket{le=\"1\"} 4\n",
        "\nferry_produce_seconds_bucket{le=\"60\"} 4\n",
        "\nferry_produce_seconds_bucket{le=\"+Inf\"} 5\n",
        "\nferry_produce_seconds_sum 101.0011\n",
        "\nferry_produce_seconds_count 5\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (strstr(text, lines[i]) == NULL)
            fail_msg("missing: %s in:\n%s", lines[i], text);
    free(text);
    ferry_metrics_free(metrics);
}

static void a_cleared_series_comes_back_at_zero(void **state)
{
    (void)state;
    struct ferry_metrics *metrics = ferry_metrics_new();
    struct ferry_metric *family = ferry_metrics_family(metrics, FERRY_GAUGE, "g", "h", NULL);
    struct ferry_series *series = ferry_metric_series(family, NULL);
    ferry_series_set(series, 7);
    ferry_metric_clear(family);
    ferry_series_set(series, 8); /* still valid */
    assert_prints(metrics, "# HELP g h\n# TYPE g gauge\n");
    assert_ptr_equal(ferry_metric_series(family, NULL), series);
    assert_prints(metrics, "# HELP g h\n# TYPE g gauge\ng 0\n");
    ferry_metrics_free(metrics);
}

static void too_many_series_become_other(void **state)
{
    (void)state;
    struct ferry_metrics *metrics = ferry_metrics_new();
    struct ferry_metric *family = ferry_metrics_family(metrics, FERRY_COUNTER, "c_total", "h", path_status);
    for (int i = 0; i < 10010; i++) {
        char name[16];
        struct ferry_slice values[] = {ferry_slice_of(name, (size_t)snprintf(name, sizeof name, "%d", i)),
                                       FERRY_SLICE("200")};
        ferry_series_add(ferry_metric_series(family, values), 1);
    }
    char *text = printed(metrics);
    assert_non_null(strstr(text, "\nc_total{path=\"9999\",status=\"200\"} 1\n"));
    assert_null(strstr(text, "path=\"10000\""));
    assert_non_null(strstr(text, "\nc_total{path=\"other\",status=\"other\"} 10\n"));
    free(text);
    ferry_metrics_free(metrics);
}

static void without_metrics_nothing_happens(void **state)
{
    (void)state;
    struct ferry_metric *family = ferry_metrics_family(NULL, FERRY_GAUGE, "g", "h", NULL);
    struct ferry_series *series = ferry_metric_series(family, NULL);
    ferry_series_add(series, 1);
    ferry_series_set(series, 1);
    ferry_series_observe_ms(series, 1);
    ferry_metric_clear(family);
    assert_null(series);
    assert_true(ferry_series_value(series) == 0);
}

enum { THREADS = 4, ROUNDS = 2000 };

static void *count_and_print(void *context)
{
    struct ferry_metrics *metrics = context;
    for (int i = 0; i < ROUNDS; i++) {
        struct ferry_metric *family = ferry_metrics_family(metrics, FERRY_COUNTER, "c_total", "h", NULL);
        ferry_series_add(ferry_metric_series(family, NULL), 1);
        family = ferry_metrics_family(metrics, FERRY_GAUGE, "g", "h", NULL);
        ferry_series_add(ferry_metric_series(family, NULL), 1);
        family = ferry_metrics_family(metrics, FERRY_HISTOGRAM, "h_seconds", "h", NULL);
        ferry_series_observe_ms(ferry_metric_series(family, NULL), i);
        if (i % 100 == 0)
            free(printed(metrics));
    }
    return NULL;
}

static void no_count_is_lost_between_threads(void **state)
{
    (void)state;
    struct ferry_metrics *metrics = ferry_metrics_new();
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_and_print, metrics), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    static const struct {
        enum ferry_metric_kind kind;
        const char *name;
    } families[] = {{FERRY_COUNTER, "c_total"}, {FERRY_GAUGE, "g"}, {FERRY_HISTOGRAM, "h_seconds"}};
    for (size_t i = 0; i < 3; i++) {
        struct ferry_metric *family = ferry_metrics_family(metrics, families[i].kind, families[i].name, "h", NULL);
        assert_true(ferry_series_value(ferry_metric_series(family, NULL)) == THREADS * ROUNDS);
    }
    ferry_metrics_free(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_counter_is_printed_with_its_help_and_type),
        cmocka_unit_test(families_are_sorted_by_name),
        cmocka_unit_test(a_family_is_made_once),
        cmocka_unit_test(label_values_are_escaped),
        cmocka_unit_test(a_gauge_goes_up_and_down),
        cmocka_unit_test(a_histogram_has_cumulative_buckets_a_sum_and_a_count),
        cmocka_unit_test(a_cleared_series_comes_back_at_zero),
        cmocka_unit_test(too_many_series_become_other),
        cmocka_unit_test(without_metrics_nothing_happens),
        cmocka_unit_test(no_count_is_lost_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
