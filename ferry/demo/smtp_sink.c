/* RFC 5321 as far as one honest client needs it.
 *
 *   HELLO ── EHLO/HELO ──▶ IDLE ── MAIL ──▶ SENDER ── RCPT ──▶ RECIPIENT ── DATA ──▶ (354, lines up to ".") ──▶ IDLE
 *
 * The table `commands` says in which states a command is allowed, and what it does. A line that is longer than
 * LINE_BYTES, or a message over MESSAGE_BYTES, ends the connection. */
#include "ferry/demo/smtp_sink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SESSIONS = 64, LINE_BYTES = 8 * 1024, MESSAGE_BYTES = 1024 * 1024, FIRST_SESSION = 2 };

enum state { HELLO, IDLE, SENDER, RECIPIENT, DATA, CLOSED };

struct session {
    int fd;
    enum state state;
    struct ferry_buffer input; /* what came and is no whole line yet */
    struct ferry_buffer recipient;
    struct ferry_buffer message;
};

struct ferry_smtp_sink {
    struct ferry_inbox *inbox;
    pthread_t thread;
    int listen_fd;
    int stop_fd; /* an eventfd: readable means stop */
    uint16_t port;
    struct session *sessions[SESSIONS];
    size_t session_count;
};

static void reply(struct session *session, const char *text)
{
    size_t len = strlen(text);
    if (send(session->fd, text, len, MSG_NOSIGNAL) != (ssize_t)len)
        session->state = CLOSED;
}

/* ---- commands ---- */

static void hello(struct session *session, struct ferry_slice rest)
{
    (void)rest;
    session->state = IDLE;
    reply(session, "250 ferry demo\r\n");
}

static void extended_hello(struct session *session, struct ferry_slice rest)
{
    (void)rest;
    session->state = IDLE;
    reply(session, "250-ferry demo\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 1048576\r\n");
}

static void mail_from(struct session *session, struct ferry_slice rest)
{
    if (!ferry_slice_starts_nocase(rest, "FROM:<")) {
        reply(session, "501 MAIL FROM:<address>\r\n");
        return;
    }
    session->state = SENDER;
    reply(session, "250 ok\r\n");
}

static void recipient_to(struct session *session, struct ferry_slice rest)
{
    const char *end = rest.len > 0 ? memchr(rest.ptr, '>', rest.len) : NULL;
    if (!ferry_slice_starts_nocase(rest, "TO:<") || end == NULL) {
        reply(session, "501 RCPT TO:<address>\r\n");
        return;
    }
    if (session->recipient.len > 0)
        ferry_buffer_add_text(&session->recipient, ", ");
    ferry_buffer_add(&session->recipient, ferry_slice_of(rest.ptr + 4, (size_t)(end - rest.ptr) - 4));
    session->state = RECIPIENT;
    reply(session, "250 ok\r\n");
}

static void data(struct session *session, struct ferry_slice rest)
{
    (void)rest;
    session->state = DATA;
    reply(session, "354 go ahead, end with a dot\r\n");
}

static void forget_mail(struct session *session)
{
    ferry_buffer_clear(&session->recipient);
    ferry_buffer_clear(&session->message);
    if (session->state != HELLO)
        session->state = IDLE;
}

static void reset(struct session *session, struct ferry_slice rest)
{
    (void)rest;
    forget_mail(session);
    reply(session, "250 ok\r\n");
}

static void nothing(struct session *session, struct ferry_slice rest)
{
    (void)rest;
    reply(session, "250 ok\r\n");
}

static void quit(struct session *session, struct ferry_slice rest)
{
    (void)rest;
    reply(session, "221 bye\r\n");
    session->state = CLOSED;
}

enum { ANYWHERE = 1 << HELLO | 1 << IDLE | 1 << SENDER | 1 << RECIPIENT };

static const struct command {
    const char *verb;
    unsigned allowed; /* bits of enum state */
    void (*run)(struct session *session, struct ferry_slice rest);
} commands[] = {
    {"EHLO", ANYWHERE, extended_hello}, {"HELO", ANYWHERE, hello},
    {"MAIL", 1 << IDLE, mail_from},     {"RCPT", 1 << SENDER | 1 << RECIPIENT, recipient_to},
    {"DATA", 1 << RECIPIENT, data},     {"RSET", ANYWHERE, reset},
    {"NOOP", ANYWHERE, nothing},        {"QUIT", ANYWHERE, quit},
};

static void command(struct session *session, struct ferry_slice line)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (!ferry_slice_starts_nocase(line, commands[i].verb) || (line.len > 4 && line.ptr[4] != ' '))
            continue;
        if ((commands[i].allowed & 1u << session->state) == 0)
            reply(session, "503 not now\r\n");
        else
            commands[i].run(session, ferry_slice_trim(ferry_slice_skip(line, 4)));
        return;
    }
    reply(session, "500 unknown command\r\n");
}

/* ---- the message ---- */

/* The value of a header of the message, folded lines joined. */
static void add_header(struct ferry_slice message, const char *name, struct ferry_buffer *out)
{
    bool found = false;
    while (message.len > 0 && message.ptr[0] != '\r') {
        const char *end = memmem(message.ptr, message.len, "\r\n", 2);
        size_t len = end != NULL ? (size_t)(end - message.ptr) : message.len;
        struct ferry_slice line = ferry_slice_of(message.ptr, len);
        bool folded = len > 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t');
        if (!folded)
            found = ferry_slice_starts_nocase(line, name);
        if (found)
            ferry_buffer_add(out, folded ? line : ferry_slice_trim(ferry_slice_skip(line, strlen(name))));
        message = ferry_slice_skip(message, end != NULL ? len + 2 : len);
    }
}

static void deliver(struct ferry_smtp_sink *sink, struct session *session)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    ferry_buffer_init(&text, LINE_BYTES);
    struct ferry_slice message = ferry_buffer_slice(&session->message);
    ferry_buffer_printf(&text, "to %s: ", session->recipient.ptr);
    add_header(message, "Subject:", &text);
    ferry_inbox_add(sink->inbox, FERRY_REACHED_MAIL, true, ferry_buffer_slice(&text), message);
    forget_mail(session);
    reply(session, "250 delivered\r\n");
}

static void message_line(struct ferry_smtp_sink *sink, struct session *session, struct ferry_slice line)
{
    if (ferry_slice_is(line, ".")) {
        deliver(sink, session);
        return;
    }
    ferry_buffer_add(&session->message, ferry_slice_starts(line, ".") ? ferry_slice_skip(line, 1) : line);
    ferry_buffer_add_text(&session->message, "\r\n");
    if (session->message.failed) {
        reply(session, "552 too large\r\n");
        session->state = CLOSED;
    }
}

/* ---- connections ---- */

/* Takes whole lines off the front of the input. */
static void read_lines(struct ferry_smtp_sink *sink, struct session *session)
{
    struct ferry_slice left = ferry_buffer_slice(&session->input);
    const char *end;
    while (session->state != CLOSED && (end = memmem(left.ptr, left.len, "\r\n", 2)) != NULL) {
        struct ferry_slice line = ferry_slice_of(left.ptr, (size_t)(end - left.ptr));
        if (session->state == DATA)
            message_line(sink, session, line);
        else
            command(session, line);
        left = ferry_slice_skip(left, line.len + 2);
    }
    size_t taken = session->input.len - left.len;
    if (taken > 0) {
        memmove(session->input.ptr, session->input.ptr + taken, left.len);
        session->input.len = left.len;
    }
}

static void receive(struct ferry_smtp_sink *sink, struct session *session)
{
    char bytes[4096];
    ssize_t len = recv(session->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len <= 0) {
        session->state = CLOSED;
        return;
    }
    ferry_buffer_add(&session->input, ferry_slice_of(bytes, (size_t)len));
    read_lines(sink, session);
    if (session->input.failed)
        session->state = CLOSED;
}

static void session_free(struct session *session)
{
    close(session->fd);
    ferry_buffer_done(&session->input);
    ferry_buffer_done(&session->recipient);
    ferry_buffer_done(&session->message);
    free(session);
}

static void welcome(struct ferry_smtp_sink *sink)
{
    int fd = accept4(sink->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct session *session = sink->session_count < SESSIONS ? calloc(1, sizeof *session) : NULL;
    if (session == NULL) {
        close(fd);
        return;
    }
    session->fd = fd;
    ferry_buffer_init(&session->input, LINE_BYTES);
    ferry_buffer_init(&session->recipient, LINE_BYTES);
    ferry_buffer_init(&session->message, MESSAGE_BYTES);
    sink->sessions[sink->session_count++] = session;
    reply(session, "220 ferry demo\r\n");
}

static void drop_closed(struct ferry_smtp_sink *sink)
{
    size_t kept = 0;
    for (size_t i = 0; i < sink->session_count; i++) {
        if (sink->sessions[i]->state == CLOSED)
            session_free(sink->sessions[i]);
        else
            sink->sessions[kept++] = sink->sessions[i];
    }
    sink->session_count = kept;
}

static void *serve(void *argument)
{
    struct ferry_smtp_sink *sink = argument;
    struct pollfd waits[FIRST_SESSION + SESSIONS];
    for (;;) {
        waits[0] = (struct pollfd){.fd = sink->stop_fd, .events = POLLIN};
        waits[1] = (struct pollfd){.fd = sink->listen_fd, .events = POLLIN};
        size_t count = sink->session_count;
        for (size_t i = 0; i < count; i++)
            waits[FIRST_SESSION + i] = (struct pollfd){.fd = sink->sessions[i]->fd, .events = POLLIN};
        if (poll(waits, FIRST_SESSION + count, -1) < 0 && errno != EINTR)
            return NULL;
        if (waits[0].revents != 0)
            return NULL;
        for (size_t i = 0; i < count; i++)
            if (waits[FIRST_SESSION + i].revents != 0)
                receive(sink, sink->sessions[i]);
        drop_closed(sink);
        if (waits[1].revents != 0)
            welcome(sink);
    }
}

/* ---- life ---- */

static enum ferry_code open_socket(struct ferry_smtp_sink *sink, struct ferry_error *error)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    sink->stop_fd = eventfd(0, EFD_CLOEXEC);
    sink->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sink->stop_fd < 0 || sink->listen_fd < 0 ||
        bind(sink->listen_fd, (const struct sockaddr *)&address, sizeof address) < 0 ||
        listen(sink->listen_fd, SESSIONS) < 0 || getsockname(sink->listen_fd, (struct sockaddr *)&address, &len) < 0)
        return ferry_fail(error, FERRY_SYSTEM, "cannot listen on 127.0.0.1 for mail: %s", strerror(errno));
    sink->port = ntohs(address.sin_port);
    return FERRY_OK;
}

static void sink_free(struct ferry_smtp_sink *sink)
{
    for (size_t i = 0; i < sink->session_count; i++)
        session_free(sink->sessions[i]);
    if (sink->listen_fd >= 0)
        close(sink->listen_fd);
    if (sink->stop_fd >= 0)
        close(sink->stop_fd);
    free(sink);
}

enum ferry_code ferry_smtp_sink_start(struct ferry_inbox *inbox, struct ferry_smtp_sink **out,
                                      struct ferry_error *error)
{
    struct ferry_smtp_sink *sink = calloc(1, sizeof *sink);
    if (sink == NULL)
        return ferry_fail(error, FERRY_MEMORY, "no memory for a mail server");
    sink->inbox = inbox;
    sink->listen_fd = sink->stop_fd = -1;
    enum ferry_code code = open_socket(sink, error);
    if (code == FERRY_OK && pthread_create(&sink->thread, NULL, serve, sink) != 0)
        code = ferry_fail(error, FERRY_SYSTEM, "cannot start a thread for the mail server");
    if (code != FERRY_OK) {
        sink_free(sink);
        return code;
    }
    *out = sink;
    return FERRY_OK;
}

uint16_t ferry_smtp_sink_port(const struct ferry_smtp_sink *sink)
{
    return sink->port;
}

void ferry_smtp_sink_stop(struct ferry_smtp_sink *sink)
{
    if (sink == NULL)
        return;
    eventfd_write(sink->stop_fd, 1);
    pthread_join(sink->thread, NULL);
    sink_free(sink);
}
