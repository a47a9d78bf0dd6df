#include "consumers/mail/mail.h"

#define CRLF "\r\n"

static bool has_line_break(struct ferry_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '\r' || text.ptr[i] == '\n' || text.ptr[i] == '\0')
            return true;
    return false;
}

static void add_head(const struct ferry_mail *mail, struct ferry_buffer *out)
{
    ferry_mail_add_mailbox(out, "From", mail->from_name, mail->from);
    ferry_mail_add_mailbox(out, "To", FERRY_SLICE(""), mail->to);
    ferry_mail_add_header(out, "Subject", mail->subject);
    ferry_buffer_add_text(out, "Date: ");
    ferry_mail_add_date(out, mail->date_ms);
    struct ferry_slice domain = ferry_mail_domain(mail->from);
    ferry_buffer_printf(out, CRLF "Message-ID: <%s@%.*s>" CRLF, mail->effect_key, FERRY_SLICE_ARGS(domain));
    ferry_buffer_add_text(out, "Auto-Submitted: auto-generated" CRLF "MIME-Version: 1.0" CRLF);
}

/* The boundary holds "=_", which neither quoted-printable nor base64 can yield. The best form comes last (RFC 2046). */
static void add_alternatives(const struct ferry_mail *mail, struct ferry_buffer *out)
{
    const char *key = mail->effect_key;
    ferry_buffer_printf(out, "Content-Type: multipart/alternative; boundary=\"=_%s\"" CRLF CRLF "--=_%s" CRLF, key,
                        key);
    ferry_mail_add_part(out, "text/plain", mail->text);
    ferry_buffer_printf(out, CRLF "--=_%s" CRLF, key);
    ferry_mail_add_part(out, "text/html", mail->html);
    ferry_buffer_printf(out, CRLF "--=_%s--" CRLF, key);
}

enum ferry_code ferry_mail_message(const struct ferry_mail *mail, struct ferry_buffer *out, struct ferry_error *error)
{
    if (has_line_break(mail->subject))
        return ferry_fail(error, FERRY_TEMPLATE, "subject: it holds a line break");
    add_head(mail, out);
    if (mail->html.ptr != NULL)
        add_alternatives(mail, out);
    else
        ferry_mail_add_part(out, "text/plain", mail->text);
    return FERRY_OK;
}
