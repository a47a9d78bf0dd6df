/* The mail channel: one message to one recipient for an event. What of it is pure stands here, for its tests. */
#ifndef FERRY_CONSUMERS_MAIL_H
#define FERRY_CONSUMERS_MAIL_H

#include "consumers/worker.h"

/* ---- address.c ---- */

/* An address that may stand in an envelope and in a header: local@domain with ASCII letters, digits and the marks of
 * RFC 5322's dot-atom, a domain of letters, digits and hyphens; at most 64 and 254 bytes. Quoted local parts, comments,
 * lists, display names, addresses in other alphabets are refused. */
bool ferry_mail_address_valid(struct ferry_slice address);
/* The part behind the @ of a valid address. */
struct ferry_slice ferry_mail_domain(struct ferry_slice address);
/* May mail go there? FERRY_OK, FERRY_ADDRESS_INVALID, or FERRY_RECIPIENT_REFUSED when the domain is none of `domains`
 * (ASCII case ignored; "*" is any). The texts do not show the address. */
FERRY_NODISCARD enum ferry_code ferry_mail_check_recipient(struct ferry_slice address, struct ferry_strings domains,
                                                           struct ferry_error *error);
/* `Name <address>`, `"Name" <address>` or `address` to its parts, borrowed from `text`; `name` is empty without one.
 * False when the address is not valid. */
bool ferry_mail_split(struct ferry_slice text, struct ferry_slice *name, struct ferry_slice *address);

/* ---- encode.c: each appends ---- */

/* A header field, folded to lines of at most 78 bytes; text that is not plain ASCII as encoded words (RFC 2047). The
 * text holds no CR, LF or NUL. */
void ferry_mail_add_header(struct ferry_buffer *out, const char *name, struct ferry_slice text);
/* `From: Name <address>` with the name quoted or encoded as needed. */
void ferry_mail_add_mailbox(struct ferry_buffer *out, const char *header, struct ferry_slice name,
                            struct ferry_slice address);
/* "Sun, 22 Nov 2026 19:11:25 +0000" */
void ferry_mail_add_date(struct ferry_buffer *out, int64_t wall_ms);
/* Content-Type, Content-Transfer-Encoding, an empty line and the text in UTF-8: quoted-printable, or base64 where that
 * is shorter. Line ends of any kind become CRLF; the last line gets one. */
void ferry_mail_add_part(struct ferry_buffer *out, const char *media_type, struct ferry_slice text);

/* ---- message.c ---- */

struct ferry_mail {
    struct ferry_slice from_name;
    struct ferry_slice from;
    struct ferry_slice to;
    struct ferry_slice subject;
    struct ferry_slice text;
    struct ferry_slice html; /* absent: text alone */
    const char *effect_key;  /* Message-ID and boundary: the same for every repeat of this effect */
    int64_t date_ms;
};

/* The whole RFC 5322 message, CRLF throughout. Fails with FERRY_TEMPLATE when the subject holds CR, LF or NUL. */
FERRY_NODISCARD enum ferry_code ferry_mail_message(const struct ferry_mail *mail, struct ferry_buffer *out,
                                                   struct ferry_error *error);

/* ---- channel.c ---- */

/* What the server's answer means: by its code. */
void ferry_mail_classify(const struct ferry_answer *answer, struct ferry_verdict *verdict);

#endif
