/* A webhook's sender: signs a body as Qlik (or another) would, posts it, and waits for the answer. For `send` and
 * `demo`. */
#ifndef FERRY_SENDER_H
#define FERRY_SENDER_H

#include "core/buffer.h"
#include "core/config.h"
#include "core/net/client.h"
#include "core/signature.h"

struct ferry_sender {
    struct ferry_client *client; /* all borrowed */
    const char *url;
    enum ferry_signature_scheme scheme;
    struct ferry_secret secret;
    const struct ferry_secret_header *headers; /* sent as well */
    size_t header_count;
};

struct ferry_sent {
    int status;               /* 0: no answer */
    struct ferry_buffer body; /* of the answer, or why there was none; ended by the caller */
    int64_t began_ms;         /* monotonic */
    double milliseconds;
};

/* Posts the body; `forged`: with the signature of another body (or, for bearer, another token). Whatever the peer
 * answers, or that it does not, is FERRY_OK and stands in `sent`, which the call initializes. Fails as
 * ferry_signature_make does, or when there is no memory. */
FERRY_NODISCARD enum ferry_code ferry_sender_post(const struct ferry_sender *sender, struct ferry_slice body,
                                                  bool forged, struct ferry_sent *sent, struct ferry_error *error);
/* GETs a page from this machine, in the same way. */
FERRY_NODISCARD enum ferry_code ferry_sender_get(struct ferry_client *client, const char *url, struct ferry_sent *sent,
                                                 struct ferry_error *error);
void ferry_sent_done(struct ferry_sent *sent);

#endif
