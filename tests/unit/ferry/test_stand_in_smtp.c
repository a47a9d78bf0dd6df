#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ferry/demo/smtp_sink.h"

struct fixture {
    struct ferry_inbox *inbox;
    struct ferry_smtp_sink *sink;
    int fd;
};

static int dial(struct fixture *fixture)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(ferry_smtp_sink_port(fixture->sink)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval limit = {.tv_sec = 5};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Sends a text and checks the status of the next reply. */
static void say(int fd, const char *text, const char *status)
{
    char answer[512];
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    ssize_t len = recv(fd, answer, sizeof answer - 1, 0);
    assert_true(len >= 3);
    answer[3] = '\0';
    assert_string_equal(answer, status);
}

static int setup(void **state)
{
    static struct fixture fixture;
    struct ferry_error error = {0};
    fixture.inbox = ferry_inbox_new();
    assert_int_equal(ferry_smtp_sink_start(fixture.inbox, &fixture.sink, &error), FERRY_OK);
    fixture.fd = dial(&fixture);
    say(fixture.fd, "", "220");
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    ferry_smtp_sink_stop(fixture->sink);
    ferry_inbox_free(fixture->inbox);
    close(fixture->fd);
    return 0;
}

static void open_mail(int fd, const char *recipient)
{
    char line[256];
    snprintf(line, sizeof line, "RCPT TO:<%s>\r\n", recipient);
    say(fd, "EHLO client\r\n", "250");
    say(fd, "MAIL FROM:<no-reply@example.com> SIZE=100\r\n", "250");
    say(fd, line, "250");
    say(fd, "DATA\r\n", "354");
}

static void a_mail_reaches_the_inbox_with_recipient_and_subject(void **state)
{
    struct fixture *fixture = *state;
    open_mail(fixture->fd, "ada@example.com");
    say(fixture->fd, "From: x\r\nSubject: Welcome,\r\n Ada\r\n\r\nSubject: not this\r\n..dot\r\n.\r\n", "250");
    const struct ferry_arrival *arrival = ferry_inbox_wait(fixture->inbox, 0, 2000);
    assert_non_null(arrival);
    assert_string_equal(arrival->text, "to ada@example.com: Welcome, Ada");
    assert_non_null(strstr(arrival->raw, "\r\n\r\nSubject: not this\r\n.dot\r\n"));
}

static void the_second_mail_of_a_connection_knows_nothing_of_the_first(void **state)
{
    struct fixture *fixture = *state;
    open_mail(fixture->fd, "ada@example.com");
    say(fixture->fd, "Subject: one\r\n\r\n.\r\n", "250");
    open_mail(fixture->fd, "bob@example.com");
    say(fixture->fd, "Subject: two\r\n\r\n.\r\n", "250");
    assert_string_equal(ferry_inbox_wait(fixture->inbox, 1, 2000)->text, "to bob@example.com: two");
    assert_string_equal(ferry_inbox_wait(fixture->inbox, 1, 0)->raw, "Subject: two\r\n\r\n");
}

static void commands_out_of_order_are_refused(void **state)
{
    struct fixture *fixture = *state;
    say(fixture->fd, "MAIL FROM:<a@example.com>\r\n", "503");
    say(fixture->fd, "HELO client\r\n", "250");
    say(fixture->fd, "DATA\r\n", "503");
    say(fixture->fd, "RCPT TO:<a@example.com>\r\n", "503");
    say(fixture->fd, "VRFY ada\r\n", "500");
    say(fixture->fd, "MAIL TO:<a@example.com>\r\n", "501");
}

static void a_line_may_come_in_pieces(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(send(fixture->fd, "EH", 2, 0), 2);
    assert_int_equal(send(fixture->fd, "LO client\r", 10, 0), 10);
    say(fixture->fd, "\n", "250");
}

static void two_clients_are_served_side_by_side(void **state)
{
    struct fixture *fixture = *state;
    open_mail(fixture->fd, "ada@example.com"); /* and stays in DATA */
    int other = dial(fixture);
    say(other, "", "220");
    open_mail(other, "bob@example.com");
    say(other, "Subject: hi\r\n\r\n.\r\n", "250");
    close(other);
    assert_string_equal(ferry_inbox_wait(fixture->inbox, 0, 2000)->text, "to bob@example.com: hi");
}

static void an_endless_line_ends_the_connection(void **state)
{
    struct fixture *fixture = *state;
    char flood[4096];
    memset(flood, 'a', sizeof flood);
    for (int i = 0; i < 8; i++)
        if (send(fixture->fd, flood, sizeof flood, MSG_NOSIGNAL) < 0)
            return;
    assert_true(recv(fixture->fd, flood, sizeof flood, 0) <= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_mail_reaches_the_inbox_with_recipient_and_subject, setup, teardown),
        cmocka_unit_test_setup_teardown(the_second_mail_of_a_connection_knows_nothing_of_the_first, setup, teardown),
        cmocka_unit_test_setup_teardown(commands_out_of_order_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_line_may_come_in_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(two_clients_are_served_side_by_side, setup, teardown),
        cmocka_unit_test_setup_teardown(an_endless_line_ends_the_connection, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
