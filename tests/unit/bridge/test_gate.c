/* The header gate: every line of "requests that must never be taken for two" that a head can show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tests/support/lenient_head.h"

static enum ferry_code check(struct ferry_slice request, struct ferry_gate_body *body)
{
    struct lenient_head parsed;
    struct ferry_error error = {0};
    assert_true(lenient_parse(&parsed, request));
    enum ferry_code code = ferry_gate_check(&parsed.head, body, &error);
    assert_int_equal(code != FERRY_OK, error.text[0] != '\0');
    return code;
}

#define HEAD(lines) FERRY_SLICE("POST /webhooks/qlik HTTP/1.1\r\nHost: x\r\n" lines "\r\n")

static void assert_refused(const struct ferry_slice *requests, size_t count)
{
    struct ferry_gate_body untouched = {.length = 77};
    for (size_t i = 0; i < count; i++) {
        if (check(requests[i], &untouched) != FERRY_HTTP_MALFORMED)
            fail_msg("was let through: %.*s", FERRY_SLICE_ARGS(requests[i]));
        assert_int_equal(untouched.length, 77);
    }
}

#define ASSERT_REFUSED(...)                                             \
    do {                                                                \
        const struct ferry_slice requests[] = {__VA_ARGS__};            \
        assert_refused(requests, sizeof requests / sizeof requests[0]); \
    } while (0)

static void an_ordinary_head_passes_and_its_length_is_known(void **state)
{
    (void)state;
    struct ferry_gate_body body;
    assert_int_equal(check(HEAD("Content-Type: application/json\r\nContent-Length: 42\r\n"), &body), FERRY_OK);
    assert_int_equal(body.length, 42);
    assert_false(body.chunked);
    assert_int_equal(check(HEAD("Content-Length: 9223372036854775807\r\n"), &body), FERRY_OK);
    assert_true(body.length == INT64_MAX);
    assert_int_equal(check(HEAD(""), &body), FERRY_OK);
    assert_int_equal(body.length, 0);
}

static void a_chunked_body_is_one(void **state)
{
    (void)state;
    struct ferry_gate_body body;
    assert_int_equal(check(HEAD("Transfer-Encoding: Chunked\r\n"), &body), FERRY_OK);
    assert_true(body.chunked);
}

static void unusual_but_lawful_heads_pass(void **state)
{
    (void)state;
    struct ferry_gate_body body;
    assert_int_equal(
        check(HEAD("X-Empty:\r\nX-Blank: \r\nX-Around:  a  \r\nX-Tab:\ta\tb\r\nce-subject: \xC3\x85sa\r\n"), &body),
        FERRY_OK);
    assert_int_equal(check(FERRY_SLICE("POST /a?b=%2F%C3%A5&c HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"), &body), FERRY_OK);
    assert_int_equal(check(FERRY_SLICE("POST /a HTTP/1.0\r\nX: y\r\n\r\n"), &body), FERRY_OK);
    assert_int_equal(check(FERRY_SLICE("POST /a HTTP/1.1\r\nHost:\r\n\r\n"), &body), FERRY_OK);
}

static void a_length_beside_a_transfer_coding_is_refused(void **state)
{
    (void)state;
    ASSERT_REFUSED(HEAD("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n"),
                   HEAD("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"));
}

static void two_lengths_are_refused_even_if_they_agree(void **state)
{
    (void)state;
    ASSERT_REFUSED(HEAD("Content-Length: 2\r\nContent-Length: 3\r\n"),
                   HEAD("Content-Length: 2\r\ncontent-length: 2\r\n"));
}

static void a_length_is_digits_below_two_to_the_63(void **state)
{
    (void)state;
    ASSERT_REFUSED(HEAD("Content-Length: +5\r\n"), HEAD("Content-Length: 0x5\r\n"), HEAD("Content-Length: 5,5\r\n"),
                   HEAD("Content-Length:\r\n"), HEAD("Content-Length:  \r\n"), HEAD("Content-Length: -1\r\n"),
                   HEAD("Content-Length: 5 5\r\n"), HEAD("Content-Length: 9223372036854775808\r\n"),
                   HEAD("Content-Length: 18446744073709551617\r\n"), HEAD("Content-Length: 1e3\r\n"));
}

static void a_transfer_coding_is_chunked_once(void **state)
{
    (void)state;
    ASSERT_REFUSED(HEAD("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
                   HEAD("Transfer-Encoding: chunked, chunked\r\n"), HEAD("Transfer-Encoding: xchunked\r\n"),
                   HEAD("Transfer-Encoding: identity\r\n"), HEAD("Transfer-Encoding: gzip, chunked\r\n"),
                   HEAD("Transfer-Encoding:\r\n"), HEAD("Transfer-Encoding: chunked;q=1\r\n"),
                   FERRY_SLICE("POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"));
}

static void there_is_exactly_one_host(void **state)
{
    (void)state;
    ASSERT_REFUSED(
        HEAD("Host: y\r\n"), HEAD("host: x\r\n"), FERRY_SLICE("POST / HTTP/1.1\r\nX: y\r\n\r\n"),
        FERRY_SLICE("POST / HTTP/1.1\r\nHost: x y\r\n\r\n"), FERRY_SLICE("POST / HTTP/1.1\r\nHost: x,y\r\n\r\n"),
        FERRY_SLICE("POST / HTTP/1.1\r\nHost: x@y\r\n\r\n"), FERRY_SLICE("POST / HTTP/1.1\r\nHost: x/y\r\n\r\n"));
}

static void a_name_is_a_token(void **state)
{
    (void)state;
    ASSERT_REFUSED(HEAD("X-A : a\r\n"), HEAD("X-A\t: a\r\n"), HEAD("X\xC3\xA4: a\r\n"), HEAD(": a\r\n"),
                   HEAD("X(A): a\r\n"), HEAD("X\x01: a\r\n"), HEAD("Content-Length : 5\r\n"));
}

static void a_value_holds_no_control_characters(void **state)
{
    (void)state;
    ASSERT_REFUSED(HEAD("X-A: a\x01"
                        "b\r\n"),
                   HEAD("X-A: a\x7f"
                        "b\r\n"),
                   HEAD("X-A: a\x0b"
                        "b\r\n"),
                   HEAD("X-A: a\rX-B: b\r\n"), HEAD("X-A: a\r\r\n"));
}

static void a_nul_in_a_value_is_seen_although_the_parser_stops_there(void **state)
{
    (void)state;
    ASSERT_REFUSED(HEAD("X-A: a\0b\r\n"), HEAD("X-A: a\0\r\n"), HEAD("X-A: a\0\0X-B: b\r\n"), HEAD("X-A: \0\r\n"),
                   HEAD("Content-Length: 5\0\0\r\n"), HEAD("X-A: a\0\0\0\0\r\n"));
}

static void a_bare_line_feed_is_seen_although_the_parser_takes_it(void **state)
{
    (void)state;
    ASSERT_REFUSED(HEAD("X-A: a\nX-B: b\r\n"), HEAD("X-A: a\n"), HEAD("X-A:\nX-B: b\r\n"),
                   FERRY_SLICE("POST / HTTP/1.1\nHost: x\r\n\r\n"), FERRY_SLICE("POST / HTTP/1.1\r\nHost: x\n\r\n"),
                   FERRY_SLICE("POST / HTTP/1.1\r\nHost: x\r\n\n"), FERRY_SLICE("POST / HTTP/1.1\nHost: x\n\n"));
}

static void a_folded_line_is_seen_although_the_parser_joins_it(void **state)
{
    (void)state;
    ASSERT_REFUSED(HEAD("X-A: a\r\n b\r\n"), HEAD("X-A: a\r\n\tb\r\nX-B: c\r\n"), HEAD("X-A:\r\n b\r\n"), HEAD(" \r\n"),
                   HEAD("Content-Length: 5\r\n \r\n"), HEAD("Content-Length: 5\r\n 6\r\n"));
}

/* Whatever else a parser may do: fields that do not account for every byte of the section are not believed. */
static void fields_that_do_not_fill_the_section_are_refused(void **state)
{
    (void)state;
    struct lenient_head parsed;
    struct ferry_gate_body body;
    assert_true(lenient_parse(&parsed, HEAD("X-A: a\r\nX-B: b\r\n")));
    parsed.fields[2].name = FERRY_SLICE("X-B"); /* moved */
    assert_int_equal(ferry_gate_check(&parsed.head, &body, NULL), FERRY_HTTP_MALFORMED);
    assert_true(lenient_parse(&parsed, HEAD("X-A: a\r\nX-B: b\r\n")));
    parsed.fields[2].value = FERRY_SLICE("b"); /* moved */
    assert_int_equal(ferry_gate_check(&parsed.head, &body, NULL), FERRY_HTTP_MALFORMED);
    assert_true(lenient_parse(&parsed, HEAD("X-A: a\r\nX-B: b\r\n")));
    parsed.head.fields.count--;
    assert_int_equal(ferry_gate_check(&parsed.head, &body, NULL), FERRY_HTTP_MALFORMED);
}

static void a_method_is_a_token(void **state)
{
    (void)state;
    ASSERT_REFUSED(FERRY_SLICE("PO\x01ST / HTTP/1.1\r\nHost: x\r\n\r\n"), FERRY_SLICE(" / HTTP/1.1\r\nHost: x\r\n\r\n"),
                   FERRY_SLICE("POST\0 / HTTP/1.1\r\nHost: x\r\n\r\n"),
                   FERRY_SLICE("P(T / HTTP/1.1\r\nHost: x\r\n\r\n"));
}

static void a_target_is_visible_ascii_without_nul(void **state)
{
    (void)state;
    ASSERT_REFUSED(
        FERRY_SLICE("POST /a%00b HTTP/1.1\r\nHost: x\r\n\r\n"), FERRY_SLICE("POST /a\0b HTTP/1.1\r\nHost: x\r\n\r\n"),
        FERRY_SLICE("POST  /a HTTP/1.1\r\nHost: x\r\n\r\n"), FERRY_SLICE("POST /a b HTTP/1.1\r\nHost: x\r\n\r\n"),
        FERRY_SLICE("POST /a\tb HTTP/1.1\r\nHost: x\r\n\r\n"),
        FERRY_SLICE("POST /\xC3\xA5 HTTP/1.1\r\nHost: x\r\n\r\n"),
        FERRY_SLICE("POST /a#b HTTP/1.1\r\nHost: x\r\n\r\n"));
}

static void a_parser_that_does_not_keep_the_head_is_believed(void **state)
{
    (void)state;
    struct lenient_head parsed;
    struct ferry_gate_body body;
    assert_true(lenient_parse(&parsed, HEAD("X-A: a\nX-B: b\r\n")));
    parsed.head.section = (struct ferry_slice){0};
    parsed.head.target_bytes = 0;
    assert_int_equal(ferry_gate_check(&parsed.head, &body, NULL), FERRY_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ordinary_head_passes_and_its_length_is_known),
        cmocka_unit_test(a_chunked_body_is_one),
        cmocka_unit_test(unusual_but_lawful_heads_pass),
        cmocka_unit_test(a_length_beside_a_transfer_coding_is_refused),
        cmocka_unit_test(two_lengths_are_refused_even_if_they_agree),
        cmocka_unit_test(a_length_is_digits_below_two_to_the_63),
        cmocka_unit_test(a_transfer_coding_is_chunked_once),
        cmocka_unit_test(there_is_exactly_one_host),
        cmocka_unit_test(a_name_is_a_token),
        cmocka_unit_test(a_value_holds_no_control_characters),
        cmocka_unit_test(a_nul_in_a_value_is_seen_although_the_parser_stops_there),
        cmocka_unit_test(a_bare_line_feed_is_seen_although_the_parser_takes_it),
        cmocka_unit_test(a_folded_line_is_seen_although_the_parser_joins_it),
        cmocka_unit_test(fields_that_do_not_fill_the_section_are_refused),
        cmocka_unit_test(a_method_is_a_token),
        cmocka_unit_test(a_target_is_visible_ascii_without_nul),
        cmocka_unit_test(a_parser_that_does_not_keep_the_head_is_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
