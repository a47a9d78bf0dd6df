#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "bridge/address.h"

static struct ferry_ip ip(const char *text)
{
    struct ferry_ip parsed;
    assert_true(ferry_ip_parse(ferry_slice_from(text), &parsed));
    return parsed;
}

static void addresses_are_read_with_and_without_ports(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *printed; /* NULL: no address */
    } rows[] = {
        {"192.0.2.1", "192.0.2.1"},
        {"192.0.2.1:443", "192.0.2.1"},
        {"2001:db8::1", "2001:db8::1"},
        {"[2001:db8::1]", "2001:db8::1"},
        {"[2001:db8::1]:443", "2001:db8::1"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"", NULL},
        {"unknown", NULL},
        {"192.0.2", NULL},
        {"192.0.2.256", NULL},
        {"[", NULL},
        {"[]", NULL},
        {"_hidden", NULL},
        {"192.0.2.1, 10.0.0.1", NULL},
        {"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ferry_ip parsed;
        char text[FERRY_IP_TEXT];
        assert_int_equal(ferry_ip_parse(ferry_slice_from(rows[i].text), &parsed), rows[i].printed != NULL);
        if (rows[i].printed == NULL)
            continue;
        ferry_ip_format(&parsed, text);
        assert_string_equal(text, rows[i].printed);
    }
}

static void a_network_has_what_its_bits_say(void **state)
{
    (void)state;
    static const struct {
        const char *cidr;
        const char *address;
        bool inside;
    } rows[] = {
        {"10.0.0.0/8", "10.255.255.255", true},      {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/8", "9.255.255.255", false},      {"192.168.4.0/22", "192.168.7.255", true},
        {"192.168.4.0/22", "192.168.8.0", false},    {"127.0.0.1", "127.0.0.1", true},
        {"127.0.0.1", "127.0.0.2", false},           {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},         {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::", false}, {"::/0", "203.0.113.9", true},
        {"10.0.0.0/8", "::ffff:10.1.2.3", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ferry_network network;
        struct ferry_ip address = ip(rows[i].address);
        assert_true(ferry_network_parse(rows[i].cidr, &network));
        assert_int_equal(ferry_network_has(&network, &address), rows[i].inside);
    }
}

static void what_is_no_network_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",       "/8",          "10.0.0.0/",   "10.0.0.0/33",
                                        "::/129", "10.0.0.0/8x", "10.0.0.0/-1", "x/8"};
    struct ferry_network network;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_false(ferry_network_parse(texts[i], &network));
}

/* ---- who is behind a proxy ---- */

static struct ferry_proxies open_proxies(void)
{
    static const char *const cidrs[] = {"10.0.0.0/8", "127.0.0.1"};
    struct ferry_proxies proxies;
    assert_int_equal(ferry_proxies_init(&proxies, (struct ferry_strings){cidrs, 2}, NULL), FERRY_OK);
    return proxies;
}

static void assert_client(const char *peer, struct ferry_pairs headers, const char *expected)
{
    struct ferry_proxies proxies = open_proxies();
    struct ferry_ip from = ip(peer), client = ferry_proxies_client(&proxies, &from, headers);
    char text[FERRY_IP_TEXT];
    ferry_ip_format(&client, text);
    assert_string_equal(text, expected);
    ferry_proxies_done(&proxies);
}

static void only_trusted_proxies_are_believed(void **state)
{
    (void)state;
    static const struct {
        const char *peer;
        const char *forwarded;
        const char *client;
    } rows[] = {
        {"203.0.113.9", "198.51.100.1", "203.0.113.9"},
        {"10.0.0.1", "198.51.100.1", "198.51.100.1"},
        {"10.0.0.1", "198.51.100.1, 10.9.9.9", "198.51.100.1"},
        /* what stands left of the first stranger was written by the stranger */
        {"10.0.0.1", "1.2.3.4, 198.51.100.1", "198.51.100.1"},
        {"10.0.0.1", "198.51.100.1,unknown", "10.0.0.1"},
        {"10.0.0.1", "", "10.0.0.1"},
        {"10.0.0.1", ",", "10.0.0.1"},
        {"10.0.0.1", "[2001:db8::7]:99", "2001:db8::7"},
        {"10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ferry_pair header = {FERRY_SLICE("x-forwarded-for"), ferry_slice_from(rows[i].forwarded)};
        assert_client(rows[i].peer, (struct ferry_pairs){&header, 1}, rows[i].client);
    }
}

static void several_forwarded_lines_are_one_list(void **state)
{
    (void)state;
    struct ferry_pair headers[] = {
        {FERRY_SLICE("X-Forwarded-For"), FERRY_SLICE("1.2.3.4")},
        {FERRY_SLICE("Host"), FERRY_SLICE("x")},
        {FERRY_SLICE("X-Forwarded-For"), FERRY_SLICE("198.51.100.1, 10.0.0.7")},
    };
    assert_client("10.0.0.1", (struct ferry_pairs){headers, 3}, "198.51.100.1");
}

static void a_wrong_proxy_is_named(void **state)
{
    (void)state;
    static const char *const cidrs[] = {"10.0.0.0/8", "10.0.0.0/99"};
    struct ferry_proxies proxies;
    struct ferry_error error;
    assert_int_equal(ferry_proxies_init(&proxies, (struct ferry_strings){cidrs, 2}, &error), FERRY_CONFIG);
    assert_non_null(strstr(error.text, "10.0.0.0/99"));
}

/* ---- counts ---- */

static void connections_are_counted_by_address(void **state)
{
    (void)state;
    struct ferry_address_counts *counts = ferry_address_counts_new();
    struct ferry_ip a = ip("192.0.2.1"), b = ip("192.0.2.2");
    assert_int_equal(ferry_address_counts_get(counts, &a), 0);
    for (int i = 0; i < 3; i++)
        assert_true(ferry_address_counts_add(counts, &a));
    assert_true(ferry_address_counts_add(counts, &b));
    ferry_address_counts_remove(counts, &a);
    assert_int_equal(ferry_address_counts_get(counts, &a), 2);
    assert_int_equal(ferry_address_counts_get(counts, &b), 1);
    ferry_address_counts_remove(counts, &b);
    ferry_address_counts_remove(counts, &b);
    assert_int_equal(ferry_address_counts_get(counts, &b), 0);
    ferry_address_counts_free(counts);
}

static void an_ipv6_caller_is_its_network_of_64_bits(void **state)
{
    (void)state;
    struct ferry_address_counts *counts = ferry_address_counts_new();
    struct ferry_ip one = ip("2001:db8:0:1::1"), two = ip("2001:db8:0:1:ffff::2"), other = ip("2001:db8:0:2::1");
    assert_true(ferry_address_counts_add(counts, &one));
    assert_true(ferry_address_counts_add(counts, &two));
    assert_int_equal(ferry_address_counts_get(counts, &one), 2);
    assert_int_equal(ferry_address_counts_get(counts, &other), 0);
    ferry_address_counts_free(counts);
}

/* Many addresses come and go in an order of their own: nothing is lost in the table. */
static void the_table_survives_growth_and_removal(void **state)
{
    (void)state;
    enum { ADDRESSES = 5000 };
    struct ferry_address_counts *counts = ferry_address_counts_new();
    struct ferry_ip address = ip("10.0.0.0");
    for (unsigned i = 0; i < ADDRESSES; i++) {
        memcpy(address.bytes + 12, &i, sizeof i);
        assert_true(ferry_address_counts_add(counts, &address));
        if (i % 3 == 0)
            assert_true(ferry_address_counts_add(counts, &address));
    }
    for (unsigned i = 0; i < ADDRESSES; i += 2) {
        unsigned n = i * 7919 % ADDRESSES / 2 * 2;
        memcpy(address.bytes + 12, &n, sizeof n);
        while (ferry_address_counts_get(counts, &address) > 0)
            ferry_address_counts_remove(counts, &address);
    }
    for (unsigned i = 1; i < ADDRESSES; i += 2) {
        memcpy(address.bytes + 12, &i, sizeof i);
        assert_int_equal(ferry_address_counts_get(counts, &address), i % 3 == 0 ? 2 : 1);
    }
    ferry_address_counts_free(counts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_with_and_without_ports),
        cmocka_unit_test(a_network_has_what_its_bits_say),
        cmocka_unit_test(what_is_no_network_is_refused),
        cmocka_unit_test(only_trusted_proxies_are_believed),
        cmocka_unit_test(several_forwarded_lines_are_one_list),
        cmocka_unit_test(a_wrong_proxy_is_named),
        cmocka_unit_test(connections_are_counted_by_address),
        cmocka_unit_test(an_ipv6_caller_is_its_network_of_64_bits),
        cmocka_unit_test(the_table_survives_growth_and_removal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
