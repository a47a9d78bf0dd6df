/* Mail over the client, against a server whose replies the test writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "answers.h"
#include "peer.h"

/* ---- the server ---- */

/* What this server says, and where it leaves; NULL is the friendly reply. */
static struct manners {
    const char *greeting;
    const char *ehlo;
    const char *starttls;
    const char *auth;
    const char *mail;
    const char *rcpt;
    const char *data;
    const char *dot;
    bool leaves_in_data; /* before the dot */
    bool leaves_at_dot;  /* after it, without a reply */
    bool is_smtps;
    bool offers_tls;
} manners;

static char received[4 << 20];

static void say(struct peer *peer, const char *reply, const char *friendly)
{
    peer_say(peer, reply != NULL ? reply : friendly);
    peer_say(peer, "\r\n");
}

static bool starts(const char *line, const char *verb)
{
    return strncasecmp(line, verb, strlen(verb)) == 0;
}

/* False when the server leaves. */
static bool take_data(struct peer *peer)
{
    say(peer, manners.data, "354 go on");
    if (manners.data != NULL)
        return true;
    if (manners.leaves_in_data) {
        char part[1000];
        peer_receive(peer, part, sizeof part);
        peer_reset(peer);
        return false;
    }
    if (!peer_read_until(peer, "\r\n.\r\n", received, sizeof received) || manners.leaves_at_dot)
        return false;
    say(peer, manners.dot, "250 queued as 7");
    return true;
}

static void greet_client(struct peer *peer, bool secure)
{
    if (manners.ehlo != NULL) {
        say(peer, manners.ehlo, "");
        return;
    }
    peer_say(peer, "250-test\r\n");
    if (manners.offers_tls && !secure)
        peer_say(peer, "250-STARTTLS\r\n");
    peer_say(peer, "250 AUTH PLAIN\r\n");
}

static void note(struct peer *peer, const char *line)
{
    strncat(peer->server->seen, line, sizeof peer->server->seen - strlen(peer->server->seen) - 1);
}

static void take_login(struct peer *peer)
{
    char response[256];
    peer_say(peer, "334 \r\n");
    peer_read_until(peer, "\r\n", response, sizeof response);
    note(peer, response);
    say(peer, manners.auth, "235 welcome");
}

/* False when the dialogue ends. */
static bool take_command(struct peer *peer, const char *line)
{
    if (starts(line, "EHLO") || starts(line, "HELO"))
        greet_client(peer, peer->tls != NULL);
    else if (starts(line, "STARTTLS")) {
        say(peer, manners.starttls, "220 go on");
        return manners.starttls != NULL || peer_start_tls(peer);
    } else if (starts(line, "AUTH"))
        take_login(peer);
    else if (starts(line, "MAIL"))
        say(peer, manners.mail, "250 ok");
    else if (starts(line, "RCPT"))
        say(peer, manners.rcpt, "250 ok");
    else if (starts(line, "DATA"))
        return take_data(peer);
    else if (starts(line, "QUIT")) {
        say(peer, NULL, "221 bye");
        return false;
    } else
        say(peer, NULL, "250 ok");
    return true;
}

static void serve(struct peer *peer)
{
    char line[1024];
    if (manners.is_smtps && !peer_start_tls(peer))
        return;
    say(peer, manners.greeting, "220 test");
    while (peer_read_until(peer, "\r\n", line, sizeof line)) {
        note(peer, line);
        if (!take_command(peer, line))
            return;
    }
}

/* ---- a client and one mail ---- */

struct fixture {
    struct server *server;
    struct ferry_client *client;
    struct outcome *outcome;
    char url[64];
    struct ferry_mail_request request;
};

static void begin(struct fixture *f, struct manners how)
{
    manners = how;
    received[0] = '\0';
    *f = (struct fixture){.server = server_start(serve), .outcome = outcome_new()};
    assert_int_equal(ferry_client_start(f->server->ca_file, &f->client, NULL), FERRY_OK);
    snprintf(f->url, sizeof f->url, "%s://localhost:%u", how.is_smtps ? "smtps" : "smtp", f->server->port);
    f->request = (struct ferry_mail_request){
        .url = f->url,
        .tls_required = how.is_smtps || how.offers_tls,
        .sender = "no-reply@example.com",
        .recipient = "ada@example.com",
        .message = FERRY_SLICE("Subject: hi\r\n\r\nfirst\r\n.\r\n..two\r\nlast\r\n"),
        .timeout_ms = 5000,
    };
}

static void end(struct fixture *f)
{
    ferry_client_stop(f->client);
    server_stop(f->server);
    outcome_free(f->outcome);
}

static void mail(struct fixture *f)
{
    assert_int_equal(ferry_client_mail(f->client, &f->request, outcome_take, f->outcome, NULL), FERRY_OK);
    assert_true(outcome_wait(f->outcome, 1));
}

/* Mails to a server of these manners; the outcome stays in the fixture. */
static void mail_to(struct fixture *f, struct manners how)
{
    begin(f, how);
    mail(f);
}

static void expect(struct manners how, enum ferry_exchange exchange, int status)
{
    struct fixture f;
    mail_to(&f, how);
    assert_int_equal(f.outcome->exchange, exchange);
    assert_int_equal(f.outcome->status, status);
    assert_int_equal(f.outcome->count, 1);
    if (status >= 400) /* the words are the refusal's, not those of the goodbye after it */
        assert_int_equal(strtol(f.outcome->body, NULL, 10), status);
    end(&f);
}

/* ---- what is sent ---- */

static void a_mail_arrives_with_its_dots(void **state)
{
    (void)state;
    struct fixture f;
    mail_to(&f, (struct manners){0});
    assert_int_equal(f.outcome->exchange, FERRY_EXCHANGE_ANSWERED);
    assert_int_equal(f.outcome->status, 250);
    assert_int_equal(f.outcome->body_len, strlen("250 queued as 7"));
    assert_memory_equal(f.outcome->body, "250 queued as 7", f.outcome->body_len);
    assert_non_null(strstr(f.server->seen, "MAIL FROM:<no-reply@example.com>\r\n"));
    assert_non_null(strstr(f.server->seen, "RCPT TO:<ada@example.com>\r\n"));
    assert_string_equal(received, "Subject: hi\r\n\r\nfirst\r\n..\r\n...two\r\nlast\r\n.\r\n");
    end(&f);
}

static void smtps_and_starttls_encrypt_and_log_in(void **state)
{
    (void)state;
    static const struct manners both[] = {{.is_smtps = true}, {.offers_tls = true}};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        begin(&f, both[i]);
        f.request.username = "ferry";
        f.request.password = FERRY_SLICE("pass word");
        mail(&f);
        assert_int_equal(f.outcome->status, 250);
        /* "\0ferry\0pass word" */
        assert_non_null(strstr(f.server->seen, "AUTH PLAIN"));
        assert_non_null(strstr(f.server->seen, "AGZlcnJ5AHBhc3Mgd29yZA=="));
        end(&f);
    }
}

static void without_tls_nothing_is_said_where_tls_is_required(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, (struct manners){0});
    f.request.tls_required = true;
    f.request.username = "ferry";
    f.request.password = FERRY_SLICE("secret");
    mail(&f);
    assert_int_equal(f.outcome->exchange, FERRY_EXCHANGE_NOT_SENT);
    assert_null(strstr(f.server->seen, "AUTH"));
    assert_null(strstr(f.server->seen, "MAIL"));
    end(&f);
}

static void a_line_break_in_an_address_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "ada@example.com\r\nRCPT TO:<eve@example.com>",
                                      "ada@example.com\n",
                                      "ada@example.com>\x7f",
                                      "ada@example.com> SIZE=1",
                                      "<ada@example.com>",
                                      "ada @example.com"};
    struct fixture f;
    begin(&f, (struct manners){0});
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ferry_mail_request request = f.request;
        struct ferry_error error;
        request.recipient = bad[i];
        assert_int_equal(ferry_client_mail(f.client, &request, outcome_take, f.outcome, &error), FERRY_ADDRESS_INVALID);
        request = f.request;
        request.sender = bad[i];
        assert_int_equal(ferry_client_mail(f.client, &request, outcome_take, f.outcome, &error), FERRY_ADDRESS_INVALID);
    }
    assert_int_equal(atomic_load(&f.server->connections), 0);
    end(&f);
}

/* ---- how far it came ---- */

static void a_code_is_an_outcome_wherever_it_comes(void **state)
{
    (void)state;
    expect((struct manners){.greeting = "421 busy"}, FERRY_EXCHANGE_ANSWERED, 421);
    expect((struct manners){.greeting = "554 go away"}, FERRY_EXCHANGE_ANSWERED, 554);
    expect((struct manners){.ehlo = "421 busy"}, FERRY_EXCHANGE_ANSWERED, 421);
    expect((struct manners){.ehlo = "550 not you"}, FERRY_EXCHANGE_ANSWERED, 550);
    expect((struct manners){.offers_tls = true, .starttls = "454 no TLS now"}, FERRY_EXCHANGE_ANSWERED, 454);
    expect((struct manners){.offers_tls = true, .starttls = "554 no TLS"}, FERRY_EXCHANGE_ANSWERED, 554);
    expect((struct manners){.mail = "451 later"}, FERRY_EXCHANGE_ANSWERED, 451);
    expect((struct manners){.mail = "550 not you"}, FERRY_EXCHANGE_ANSWERED, 550);
    expect((struct manners){.rcpt = "450 greylisted"}, FERRY_EXCHANGE_ANSWERED, 450);
    expect((struct manners){.rcpt = "550 no such user"}, FERRY_EXCHANGE_ANSWERED, 550);
    expect((struct manners){.data = "452 full"}, FERRY_EXCHANGE_ANSWERED, 452);
    expect((struct manners){.data = "554 no"}, FERRY_EXCHANGE_ANSWERED, 554);
    expect((struct manners){.dot = "451 try again"}, FERRY_EXCHANGE_ANSWERED, 451);
    expect((struct manners){.dot = "554 spam"}, FERRY_EXCHANGE_ANSWERED, 554);
}

static void a_login_that_fails_for_now_is_told_by_its_code(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, (struct manners){.is_smtps = true, .auth = "454 later"});
    f.request.username = "ferry";
    f.request.password = FERRY_SLICE("secret");
    mail(&f);
    assert_int_equal(f.outcome->exchange, FERRY_EXCHANGE_ANSWERED);
    assert_int_equal(f.outcome->status, 454);
    end(&f);
}

static void a_refused_login_is_told_by_its_code(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, (struct manners){.is_smtps = true, .auth = "535 wrong password"});
    f.request.username = "ferry";
    f.request.password = FERRY_SLICE("old");
    mail(&f);
    assert_int_equal(f.outcome->exchange, FERRY_EXCHANGE_ANSWERED);
    assert_int_equal(f.outcome->status, 535);
    assert_memory_equal(f.outcome->body, "535 wrong password", f.outcome->body_len);
    assert_null(strstr(f.server->seen, "MAIL"));
    end(&f);
}

static void a_server_that_is_not_there_was_not_sent_to(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, (struct manners){0});
    f.request.url = "smtp://127.0.0.1:1";
    mail(&f);
    assert_int_equal(f.outcome->exchange, FERRY_EXCHANGE_NOT_SENT);
    end(&f);
}

static void an_unknown_issuer_was_not_sent_to(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, (struct manners){.is_smtps = true});
    ferry_client_stop(f.client);
    assert_int_equal(ferry_client_start(NULL, &f.client, NULL), FERRY_OK);
    mail(&f);
    assert_int_equal(f.outcome->exchange, FERRY_EXCHANGE_NOT_SENT);
    assert_string_equal(f.server->seen, "");
    end(&f);
}

static void leaving_before_the_dot_is_not_sent(void **state)
{
    (void)state;
    static char message[16 << 20]; /* more than the sockets' buffers take, however late the server reads */
    struct fixture f;
    begin(&f, (struct manners){.leaves_in_data = true});
    memset(message, 'm', sizeof message);
    f.request.message = ferry_slice_of(message, sizeof message);
    mail(&f);
    assert_int_equal(f.outcome->exchange, FERRY_EXCHANGE_NOT_SENT);
    assert_int_equal(f.outcome->status, 0);
    end(&f);
}

static void leaving_after_the_dot_is_in_doubt(void **state)
{
    (void)state;
    expect((struct manners){.leaves_at_dot = true}, FERRY_EXCHANGE_IN_DOUBT, 0);
}

static void a_long_message_arrives_whole(void **state)
{
    (void)state;
    static char message[512 << 10];
    struct fixture f;
    begin(&f, (struct manners){0});
    memset(message, 'm', sizeof message);
    for (size_t i = 70; i < sizeof message; i += 72) {
        message[i] = '\r';
        message[i + 1] = '\n';
    }
    f.request.message = ferry_slice_of(message, sizeof message);
    f.request.timeout_ms = 15000; /* the server reads byte by byte */
    mail(&f);
    assert_int_equal(f.outcome->status, 250);
    assert_memory_equal(received, message, sizeof message);
    end(&f);
}

/* ---- the probe ---- */

static void a_probe_logs_in_and_leaves(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, (struct manners){.is_smtps = true});
    f.request.username = "ferry";
    f.request.password = FERRY_SLICE("secret");
    assert_int_equal(ferry_client_smtp_probe(f.client, &f.request, outcome_take, f.outcome, NULL), FERRY_OK);
    assert_true(outcome_wait(f.outcome, 1));
    assert_int_equal(f.outcome->exchange, FERRY_EXCHANGE_ANSWERED);
    assert_int_equal(f.outcome->status, 250);
    ferry_client_stop(f.client);
    f.client = NULL;
    assert_non_null(strstr(f.server->seen, "AUTH"));
    assert_non_null(strstr(f.server->seen, "QUIT"));
    assert_null(strstr(f.server->seen, "MAIL"));
    end(&f);
}

static void a_probe_tells_a_refused_login(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, (struct manners){.is_smtps = true, .auth = "535 no"});
    f.request.username = "ferry";
    f.request.password = FERRY_SLICE("secret");
    assert_int_equal(ferry_client_smtp_probe(f.client, &f.request, outcome_take, f.outcome, NULL), FERRY_OK);
    assert_true(outcome_wait(f.outcome, 1));
    assert_int_equal(f.outcome->status, 535);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mail_arrives_with_its_dots),
        cmocka_unit_test(smtps_and_starttls_encrypt_and_log_in),
        cmocka_unit_test(without_tls_nothing_is_said_where_tls_is_required),
        cmocka_unit_test(a_line_break_in_an_address_is_refused),
        cmocka_unit_test(a_code_is_an_outcome_wherever_it_comes),
        cmocka_unit_test(a_refused_login_is_told_by_its_code),
        cmocka_unit_test(a_login_that_fails_for_now_is_told_by_its_code),
        cmocka_unit_test(a_server_that_is_not_there_was_not_sent_to),
        cmocka_unit_test(an_unknown_issuer_was_not_sent_to),
        cmocka_unit_test(leaving_before_the_dot_is_not_sent),
        cmocka_unit_test(leaving_after_the_dot_is_in_doubt),
        cmocka_unit_test(a_long_message_arrives_whole),
        cmocka_unit_test(a_probe_logs_in_and_leaves),
        cmocka_unit_test(a_probe_tells_a_refused_login),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
