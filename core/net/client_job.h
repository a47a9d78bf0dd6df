/* One exchange inside the client. Private to core/net: client.c runs jobs, client_http.c and client_smtp.c make them
 * and say what their end means. */
#ifndef FERRY_CORE_NET_CLIENT_JOB_H
#define FERRY_CORE_NET_CLIENT_JOB_H

#include <curl/curl.h>

#include "core/buffer.h"
#include "core/net/client.h"

struct ferry_job {
    struct ferry_job *next;
    CURL *easy;
    struct curl_slist *headers; /* wiped: they may hold secrets */
    struct curl_slist *recipients;
    struct ferry_secret upload; /* a copy of the body or the message */
    size_t uploaded;            /* of a message: how much libcurl has taken … */
    bool upload_ended;          /* … and that it was told that this was all */
    bool begun;                 /* of a request: it was about to be sent for the first time … */
    long sent_before;           /* … and these bytes had gone before it, to a proxy … */
    bool repeat_refused;        /* … and libcurl was about to send again what had left in part */
    struct ferry_buffer answer;
    bool truncated;
    char reason[CURL_ERROR_SIZE];
    /* Fills exchange, status, body … from how the transfer ended. */
    void (*conclude)(const struct ferry_job *job, CURLcode result, struct ferry_answer *answer);
    ferry_answer_fn *done;
    void *context;
};

/* A job with what holds for every exchange: time-outs, trust, no signals. NULL when memory ran out. */
struct ferry_job *ferry_job_new(const struct ferry_client *client, int64_t timeout_ms, ferry_answer_fn *done,
                                void *context);
void ferry_job_free(struct ferry_job *job);
/* Takes the job in any case. FERRY_STOPPING after ferry_client_stop. */
FERRY_NODISCARD enum ferry_code ferry_job_submit(struct ferry_client *client, struct ferry_job *job,
                                                 struct ferry_error *error);

#endif
