/* From text to what may travel in a mail: lines of 7-bit ASCII, short enough for everybody. */
#include <time.h>

#include "consumers/mail/mail.h"
#include "core/base64.h"
#include "core/utf8.h"

#define CRLF "\r\n"

enum {
    LINE = 78,         /* RFC 5322, 2.1.1: should; must is 998 */
    ENCODED_LINE = 76, /* RFC 2047, 2: a line with an encoded word */
    AROUND = 12        /* =?UTF-8?B? and ?= */
};

/* ---- header fields ---- */

static bool is_plain(char c)
{
    return c >= ' ' && c <= '~';
}

/* May it stand in a header as it is? Not what looks like an encoded word, which a reader would decode, nor what cannot
 * be folded. */
static bool stands_as_it_is(struct ferry_slice text)
{
    size_t word = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_plain(text.ptr[i]) || (text.ptr[i] == '=' && i + 1 < text.len && text.ptr[i + 1] == '?'))
            return false;
        word = text.ptr[i] == ' ' ? 0 : word + 1;
        if (word > LINE - 2)
            return false;
    }
    return text.len == 0 || (text.ptr[0] != ' ' && text.ptr[text.len - 1] != ' ');
}

/* As many whole characters as an encoded word takes that begins at `column`. A byte that is no UTF-8 goes as one. */
static struct ferry_slice next_piece(struct ferry_slice text, size_t column)
{
    size_t len = 0, most = (ENCODED_LINE - AROUND - column) / 4 * 3;
    while (len < text.len) {
        size_t more = ferry_utf8_sequence(text.ptr + len, text.len - len);
        more = more > 0 ? more : 1;
        if (len + more > most)
            break;
        len += more;
    }
    return ferry_slice_of(text.ptr, len);
}

/* Each word on a line of its own: the space between encoded words is not part of the text. */
static void add_encoded_words(struct ferry_buffer *out, struct ferry_slice text, size_t column)
{
    while (text.len > 0) {
        struct ferry_slice piece = next_piece(text, column);
        ferry_buffer_add_text(out, "=?UTF-8?B?");
        ferry_base64_encode(piece, out);
        ferry_buffer_add_text(out, "?=");
        text = ferry_slice_skip(text, piece.len);
        if (text.len > 0)
            ferry_buffer_add_text(out, CRLF " ");
        column = 1;
    }
}

/* Breaks at a space where the next word would go over the line's end. `column`: where the line stands. */
static void add_folded(struct ferry_buffer *out, struct ferry_slice text, size_t column)
{
    while (text.len > 0) {
        const char *space = memchr(text.ptr + 1, ' ', text.len - 1); /* a word goes with the space before it */
        size_t len = space != NULL ? (size_t)(space - text.ptr) : text.len;
        if (column + len > LINE && text.ptr[0] == ' ') {
            ferry_buffer_add_text(out, CRLF);
            column = 0;
        }
        ferry_buffer_add(out, ferry_slice_of(text.ptr, len));
        column += len;
        text = ferry_slice_skip(text, len);
    }
}

void ferry_mail_add_header(struct ferry_buffer *out, const char *name, struct ferry_slice text)
{
    ferry_buffer_printf(out, "%s: ", name);
    if (stands_as_it_is(text))
        add_folded(out, text, strlen(name) + 2);
    else
        add_encoded_words(out, text, strlen(name) + 2);
    ferry_buffer_add_text(out, CRLF);
}

/* Letters, digits and spaces need no quotes. */
static bool needs_quotes(struct ferry_slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (strchr("()<>[]:;@\\,.\"", name.ptr[i]) != NULL)
            return true;
    return false;
}

static void add_quoted(struct ferry_buffer *out, struct ferry_slice name)
{
    ferry_buffer_add_char(out, '"');
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '"' || name.ptr[i] == '\\')
            ferry_buffer_add_char(out, '\\');
        ferry_buffer_add_char(out, name.ptr[i]);
    }
    ferry_buffer_add_char(out, '"');
}

void ferry_mail_add_mailbox(struct ferry_buffer *out, const char *header, struct ferry_slice name,
                            struct ferry_slice address)
{
    ferry_buffer_printf(out, "%s: ", header);
    if (name.len > 0) {
        if (!stands_as_it_is(name))
            add_encoded_words(out, name, strlen(header) + 2);
        else if (needs_quotes(name))
            add_quoted(out, name);
        else
            ferry_buffer_add(out, name);
        ferry_buffer_add_text(out,
                              2 * name.len + address.len + 20 > LINE ? CRLF " <" : " <"); /* encoded it is longer */
        ferry_buffer_add(out, address);
        ferry_buffer_add_char(out, '>');
    } else {
        ferry_buffer_add(out, address);
    }
    ferry_buffer_add_text(out, CRLF);
}

void ferry_mail_add_date(struct ferry_buffer *out, int64_t wall_ms)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc); /* not strftime: its names follow the locale */
    ferry_buffer_printf(out, "%s, %d %s %d %02d:%02d:%02d +0000", days[utc.tm_wday], utc.tm_mday, months[utc.tm_mon],
                        utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

/* ---- bodies ---- */

/* Splits off the first line; its end may be CRLF, LF or CR. */
static struct ferry_slice next_line(struct ferry_slice *text)
{
    size_t len = 0;
    while (len < text->len && text->ptr[len] != '\r' && text->ptr[len] != '\n')
        len++;
    struct ferry_slice line = ferry_slice_of(text->ptr, len);
    size_t end = len;
    if (end < text->len && text->ptr[end] == '\r')
        end++;
    if (end < text->len && text->ptr[end] == '\n')
        end++;
    *text = ferry_slice_skip(*text, end);
    return line;
}

static bool is_literal(struct ferry_slice line, size_t i)
{
    char c = line.ptr[i];
    bool blank = c == ' ' || c == '\t';
    return (c > ' ' && c <= '~' && c != '=') || (blank && i + 1 < line.len);
}

/* RFC 2045, 6.7: at most 76 characters a line, the soft break's = among them. */
static void add_printable_line(struct ferry_buffer *out, struct ferry_slice line)
{
    enum { MOST = 76 };
    size_t column = 0;
    for (size_t i = 0; i < line.len; i++) {
        bool literal = is_literal(line, i);
        size_t width = literal ? 1 : 3;
        if (column + width > MOST - 1) {
            ferry_buffer_add_text(out, "=" CRLF);
            column = 0;
        }
        if (literal)
            ferry_buffer_add_char(out, line.ptr[i]);
        else
            ferry_buffer_printf(out, "=%02X", (unsigned char)line.ptr[i]);
        column += width;
    }
    ferry_buffer_add_text(out, CRLF);
}

static void add_base64_lines(struct ferry_buffer *out, struct ferry_slice text)
{
    enum { BYTES = 57 }; /* 76 characters */
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer lines;
    ferry_buffer_init(&lines, FERRY_EFFECT_BODY_MAX);
    while (text.len > 0) {
        ferry_buffer_add(&lines, next_line(&text));
        ferry_buffer_add_text(&lines, CRLF);
    }
    for (size_t at = 0; at < lines.len; at += BYTES) {
        ferry_base64_encode(ferry_slice_of(lines.ptr + at, lines.len - at < BYTES ? lines.len - at : BYTES), out);
        ferry_buffer_add_text(out, CRLF);
    }
    out->failed = out->failed || lines.failed;
}

/* Two of three bytes more for each that has to be written as =XX, against a third for all. */
static bool is_base64_shorter(struct ferry_slice text)
{
    size_t escaped = 0;
    for (size_t i = 0; i < text.len; i++)
        escaped += (text.ptr[i] & 0x80) != 0 || text.ptr[i] == '=';
    return escaped > text.len / 6;
}

void ferry_mail_add_part(struct ferry_buffer *out, const char *media_type, struct ferry_slice text)
{
    bool base64 = is_base64_shorter(text);
    ferry_buffer_printf(out, "Content-Type: %s; charset=utf-8" CRLF "Content-Transfer-Encoding: %s" CRLF CRLF,
                        media_type, base64 ? "base64" : "quoted-printable");
    if (base64)
        add_base64_lines(out, text);
    while (!base64 && text.len > 0)
        add_printable_line(out, next_line(&text));
}
