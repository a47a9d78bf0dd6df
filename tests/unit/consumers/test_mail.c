#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "consumers/mail/mail.h"
#include "core/mask.h"

static struct ferry_buffer out;

static int setup(void **state)
{
    (void)state;
    ferry_buffer_init(&out, 4 * 1024 * 1024);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ferry_buffer_done(&out);
    return 0;
}

/* ---- addresses ---- */

static void one_plain_address_is_taken(void **state)
{
    (void)state;
    const char *const good[] = {"a@example.com", "first.last+tag@sub.example.com", "o'neil@example.com",
                                "x@localhost",   "a@xn--bcher-kva.example",        "!#$%&'*+-/=?^_`{|}~@example.com"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(ferry_mail_address_valid(ferry_slice_from(good[i])));
}

static void everything_else_is_refused(void **state)
{
    (void)state;
    const char *const bad[] = {"",
                               "a",
                               "@example.com",
                               "a@",
                               "a@example.com\r\nBcc: b@example.com",
                               "a@example.com\n",
                               "a@example.com, b@example.com",
                               "a@example.com>",
                               "<a@example.com>",
                               "a b@example.com",
                               " a@example.com",
                               "a@b@example.com",
                               "\"a b\"@example.com",
                               "a@exam ple.com",
                               "a@-example.com",
                               "a@example-.com",
                               "a@example..com",
                               "a@.example.com",
                               "a@example.com.",
                               ".a@example.com",
                               "a.@example.com",
                               "a..b@example.com",
                               "åsa@example.com",
                               "a@exåmple.com",
                               "a@[127.0.0.1]",
                               "a@example.com;b",
                               "a@example_com"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(ferry_mail_address_valid(ferry_slice_from(bad[i])));
    assert_false(ferry_mail_address_valid(FERRY_SLICE("a@example.com\0b")));
    assert_false(ferry_mail_address_valid(FERRY_SLICE("a\0@example.com")));
}

static void an_address_has_a_longest_length(void **state)
{
    (void)state;
    char local[80];
    memset(local, 'a', sizeof local);
    memcpy(local + 64, "@b.c", 4);
    assert_true(ferry_mail_address_valid(ferry_slice_of(local, 68)));
    memset(local, 'a', sizeof local);
    memcpy(local + 65, "@b.c", 4);
    assert_false(ferry_mail_address_valid(ferry_slice_of(local, 69)));
}

static void mail_goes_to_named_domains_alone(void **state)
{
    (void)state;
    const char *const named[] = {"example.com", "acme.org"};
    const char *const any[] = {"*"};
    const struct ferry_strings domains = {named, 2};
    struct ferry_error error;
    assert_int_equal(ferry_mail_check_recipient(FERRY_SLICE("a@EXAMPLE.com"), domains, &error), FERRY_OK);
    assert_int_equal(ferry_mail_check_recipient(FERRY_SLICE("a@evil.org"), domains, &error), FERRY_RECIPIENT_REFUSED);
    assert_int_equal(ferry_mail_check_recipient(FERRY_SLICE("a@sub.example.com"), domains, &error),
                     FERRY_RECIPIENT_REFUSED);
    assert_int_equal(ferry_mail_check_recipient(FERRY_SLICE("a@example.com.evil.org"), domains, &error),
                     FERRY_RECIPIENT_REFUSED);
    assert_int_equal(ferry_mail_check_recipient(FERRY_SLICE("who\n@example.com"), domains, &error),
                     FERRY_ADDRESS_INVALID);
    assert_null(strstr(error.text, "who"));
    assert_int_equal(ferry_mail_check_recipient(FERRY_SLICE("a@evil.org"), (struct ferry_strings){any, 1}, &error),
                     FERRY_OK);
}

static void a_sender_is_a_name_and_an_address(void **state)
{
    (void)state;
    struct ferry_slice name, address;
    assert_true(ferry_mail_split(FERRY_SLICE("Analytics team <no-reply@example.com>"), &name, &address));
    assert_true(ferry_slice_is(name, "Analytics team"));
    assert_true(ferry_slice_is(address, "no-reply@example.com"));
    assert_true(ferry_mail_split(FERRY_SLICE("\"Team, the\" <a@b.c>"), &name, &address));
    assert_true(ferry_slice_is(name, "Team, the"));
    assert_true(ferry_mail_split(FERRY_SLICE(" a@b.c "), &name, &address));
    assert_int_equal(name.len, 0);
    assert_false(ferry_mail_split(FERRY_SLICE("Team <a b>"), &name, &address));
    assert_false(ferry_mail_split(FERRY_SLICE("Te\nam <a@b.c>"), &name, &address));
}

static void logs_show_the_first_letter_of_an_address(void **state)
{
    (void)state;
    char text[64];
    ferry_mask_addresses(FERRY_SLICE("550 <alice.b@example.com>: no such user bob@x.y"), text, sizeof text);
    assert_string_equal(text, "550 <a***@example.com>: no such user b***@x.y");
    ferry_mask_addresses(FERRY_SLICE("@home, me @ work"), text, sizeof text);
    assert_string_equal(text, "@home, me @ work");
    char narrow[8];
    ferry_mask_addresses(FERRY_SLICE("alice@example.com"), narrow, sizeof narrow);
    assert_string_equal(narrow, "a***@ex");
}

/* ---- header fields ---- */

static const char *header(const char *text)
{
    ferry_buffer_clear(&out);
    ferry_mail_add_header(&out, "Subject", ferry_slice_from(text));
    return out.ptr;
}

/* Every line at most 78 bytes of ASCII, every further line begins with a space. */
static void assert_lines(size_t longest)
{
    size_t column = 0;
    for (size_t i = 0; i < out.len; i++) {
        assert_true((out.ptr[i] & 0x80) == 0);
        column = out.ptr[i] == '\n' ? 0 : column + (out.ptr[i] != '\r');
        assert_true(column <= longest);
        if (out.ptr[i] == '\n')
            assert_int_equal(out.ptr[i - 1], '\r');
        if (out.ptr[i] == '\r')
            assert_int_equal(out.ptr[i + 1], '\n');
    }
    assert_memory_equal(out.ptr + out.len - 2, "\r\n", 2);
}

static void plain_text_stands_as_it_is(void **state)
{
    (void)state;
    assert_string_equal(header("Welcome to Qlik Cloud"), "Subject: Welcome to Qlik Cloud\r\n");
    assert_string_equal(header(""), "Subject: \r\n");
}

static void text_that_is_not_ascii_becomes_encoded_words(void **state)
{
    (void)state;
    assert_string_equal(header("Åsa"), "Subject: =?UTF-8?B?w4VzYQ==?=\r\n");
    assert_string_equal(header("=?x"), "Subject: =?UTF-8?B?PT94?=\r\n");
    assert_string_equal(header("a\tb"), "Subject: =?UTF-8?B?YQli?=\r\n");
    assert_string_equal(header(" x"), "Subject: =?UTF-8?B?IHg=?=\r\n");
}

static void long_subjects_are_folded(void **state)
{
    (void)state;
    char text[600];
    size_t len = 0;
    for (int i = 0; i < 40; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s", i == 0 ? "word" : " another");
    header(text);
    assert_lines(78);
    assert_non_null(strstr(out.ptr, "\r\n another"));
    len = 0;
    for (int i = 0; i < 100; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "Åß");
    header(text);
    assert_lines(78);
    assert_non_null(strstr(out.ptr, "?=\r\n =?UTF-8?B?"));
    memset(text, 'x', 500); /* nowhere to fold */
    text[500] = '\0';
    header(text);
    assert_lines(78);
}

static void a_name_is_quoted_or_encoded_as_it_needs(void **state)
{
    (void)state;
    ferry_mail_add_mailbox(&out, "From", FERRY_SLICE("Team"), FERRY_SLICE("a@b.c"));
    ferry_mail_add_mailbox(&out, "From", FERRY_SLICE("Team, the \"one\""), FERRY_SLICE("a@b.c"));
    ferry_mail_add_mailbox(&out, "From", FERRY_SLICE("Åsa"), FERRY_SLICE("a@b.c"));
    ferry_mail_add_mailbox(&out, "To", FERRY_SLICE(""), FERRY_SLICE("a@b.c"));
    assert_string_equal(out.ptr, "From: Team <a@b.c>\r\n"
                                 "From: \"Team, the \\\"one\\\"\" <a@b.c>\r\n"
                                 "From: =?UTF-8?B?w4VzYQ==?= <a@b.c>\r\n"
                                 "To: a@b.c\r\n");
}

static void a_date_is_written_in_english(void **state)
{
    (void)state;
    ferry_mail_add_date(&out, INT64_C(1795375885000));
    assert_string_equal(out.ptr, "Sun, 22 Nov 2026 19:31:25 +0000");
}

/* ---- bodies ---- */

static const char *part(const char *text)
{
    ferry_buffer_clear(&out);
    ferry_mail_add_part(&out, "text/plain", ferry_slice_from(text));
    return strstr(out.ptr, "\r\n\r\n") + 4;
}

static void line_ends_of_any_kind_become_crlf(void **state)
{
    (void)state;
    assert_string_equal(part("a\nb\r\nc\rd"), "a\r\nb\r\nc\r\nd\r\n");
    assert_string_equal(part("a\n\nb\n"), "a\r\n\r\nb\r\n");
    assert_string_equal(part(""), "");
}

static void quoted_printable_hides_what_might_get_lost(void **state)
{
    (void)state;
    assert_string_equal(part("some text, 1=1, h\xC3\xA9 \nx\t\n"), "some text, 1=3D1, h=C3=A9=20\r\nx=09\r\n");
    assert_non_null(strstr(out.ptr, "Content-Transfer-Encoding: quoted-printable\r\n"));
}

static void long_lines_are_broken_softly(void **state)
{
    (void)state;
    char text[300];
    memset(text, 'y', 299);
    text[299] = '\0';
    const char *body = part(text);
    assert_lines(76);
    size_t letters = 0;
    for (const char *c = body; *c != '\0'; c++)
        letters += *c == 'y';
    assert_int_equal(letters, 299);
    assert_non_null(strstr(body, "=\r\n"));
}

static void text_of_another_alphabet_is_base64(void **state)
{
    (void)state;
    assert_string_equal(part("日本語"), "5pel5pys6KqeDQo=\r\n");
    assert_non_null(strstr(out.ptr, "Content-Transfer-Encoding: base64\r\n"));
}

/* ---- messages ---- */

static struct ferry_mail mail_of(const char *subject, const char *html)
{
    return (struct ferry_mail){.from_name = FERRY_SLICE("Team"),
                               .from = FERRY_SLICE("no-reply@example.com"),
                               .to = FERRY_SLICE("a@example.com"),
                               .subject = ferry_slice_from(subject),
                               .text = FERRY_SLICE("Hello\n"),
                               .html = ferry_slice_from(html),
                               .effect_key = "0123456789abcdef0123456789abcdef",
                               .date_ms = INT64_C(1795375885000)};
}

static void a_text_mail_is_this_message(void **state)
{
    (void)state;
    struct ferry_mail mail = mail_of("Hi", NULL);
    assert_int_equal(ferry_mail_message(&mail, &out, NULL), FERRY_OK);
    assert_string_equal(out.ptr, "From: Team <no-reply@example.com>\r\n"
                                 "To: a@example.com\r\n"
                                 "Subject: Hi\r\n"
                                 "Date: Sun, 22 Nov 2026 19:31:25 +0000\r\n"
                                 "Message-ID: <0123456789abcdef0123456789abcdef@example.com>\r\n"
                                 "Auto-Submitted: auto-generated\r\n"
                                 "MIME-Version: 1.0\r\n"
                                 "Content-Type: text/plain; charset=utf-8\r\n"
                                 "Content-Transfer-Encoding: quoted-printable\r\n"
                                 "\r\n"
                                 "Hello\r\n");
}

static void html_comes_as_the_better_alternative(void **state)
{
    (void)state;
    struct ferry_mail mail = mail_of("Hi", "<p>Hello</p>");
    assert_int_equal(ferry_mail_message(&mail, &out, NULL), FERRY_OK);
    const char *plain = strstr(out.ptr, "text/plain"), *html = strstr(out.ptr, "text/html");
    assert_non_null(strstr(out.ptr, "multipart/alternative; boundary=\"=_0123456789abcdef0123456789abcdef\"\r\n\r\n"));
    assert_true(plain != NULL && html > plain);
    assert_non_null(strstr(html, "<p>Hello</p>\r\n\r\n--=_0123456789abcdef0123456789abcdef--\r\n"));
}

static void a_subject_with_a_line_break_makes_no_mail(void **state)
{
    (void)state;
    struct ferry_error error;
    struct ferry_mail mail = mail_of("Hi\r\nBcc: b@example.com", NULL);
    assert_int_equal(ferry_mail_message(&mail, &out, &error), FERRY_TEMPLATE);
    mail.subject = FERRY_SLICE("a\0b");
    assert_int_equal(ferry_mail_message(&mail, &out, &error), FERRY_TEMPLATE);
}

/* ---- answers ---- */

static struct ferry_verdict classify(enum ferry_exchange exchange, int code, const char *reply)
{
    const struct ferry_answer answer = {
        .exchange = exchange, .status = code, .body = ferry_slice_from(reply), .retry_after_ms = -1, .reason = "x"};
    struct ferry_verdict verdict;
    ferry_mail_classify(&answer, &verdict);
    return verdict;
}

static void the_smtp_code_decides(void **state)
{
    (void)state;
    assert_int_equal(classify(FERRY_EXCHANGE_ANSWERED, 250, "ok").outcome, FERRY_OUTCOME_DONE);
    assert_int_equal(classify(FERRY_EXCHANGE_ANSWERED, 451, "later").outcome, FERRY_OUTCOME_RETRY);
    assert_int_equal(classify(FERRY_EXCHANGE_ANSWERED, 421, "later").code, FERRY_SMTP_BUSY);
    assert_int_equal(classify(FERRY_EXCHANGE_ANSWERED, 550, "no").outcome, FERRY_OUTCOME_DEAD);
    assert_int_equal(classify(FERRY_EXCHANGE_ANSWERED, 552, "no").code, FERRY_SMTP_REFUSED);
    assert_int_equal(classify(FERRY_EXCHANGE_NOT_SENT, 0, "").code, FERRY_NETWORK);
    struct ferry_verdict doubt = classify(FERRY_EXCHANGE_IN_DOUBT, 0, "");
    assert_int_equal(doubt.outcome, FERRY_OUTCOME_DOUBTFUL);
    assert_int_equal(doubt.code, FERRY_OUTCOME_UNKNOWN);
}

static void the_reply_is_shown_without_the_address(void **state)
{
    (void)state;
    struct ferry_verdict verdict = classify(FERRY_EXCHANGE_ANSWERED, 550, "550 5.1.1 <alice@example.com> unknown");
    assert_non_null(strstr(verdict.reason, "550"));
    assert_non_null(strstr(verdict.reason, "a***@example.com"));
    assert_null(strstr(verdict.reason, "alice"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_plain_address_is_taken),
        cmocka_unit_test(everything_else_is_refused),
        cmocka_unit_test(an_address_has_a_longest_length),
        cmocka_unit_test(mail_goes_to_named_domains_alone),
        cmocka_unit_test(a_sender_is_a_name_and_an_address),
        cmocka_unit_test(logs_show_the_first_letter_of_an_address),
        cmocka_unit_test_setup_teardown(plain_text_stands_as_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(text_that_is_not_ascii_becomes_encoded_words, setup, teardown),
        cmocka_unit_test_setup_teardown(long_subjects_are_folded, setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_is_quoted_or_encoded_as_it_needs, setup, teardown),
        cmocka_unit_test_setup_teardown(a_date_is_written_in_english, setup, teardown),
        cmocka_unit_test_setup_teardown(line_ends_of_any_kind_become_crlf, setup, teardown),
        cmocka_unit_test_setup_teardown(quoted_printable_hides_what_might_get_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(long_lines_are_broken_softly, setup, teardown),
        cmocka_unit_test_setup_teardown(text_of_another_alphabet_is_base64, setup, teardown),
        cmocka_unit_test_setup_teardown(a_text_mail_is_this_message, setup, teardown),
        cmocka_unit_test_setup_teardown(html_comes_as_the_better_alternative, setup, teardown),
        cmocka_unit_test_setup_teardown(a_subject_with_a_line_break_makes_no_mail, setup, teardown),
        cmocka_unit_test(the_smtp_code_decides),
        cmocka_unit_test(the_reply_is_shown_without_the_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
