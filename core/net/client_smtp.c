/* SMTP over the client: one message, one recipient, one transaction.
 *
 * The window of doubt is small. Until the final dot has left, a server must not deliver anything (RFC 5321, 4.1.1.4);
 * after it, only the reply says whether the message was taken. libcurl sends the dot when the read function has said
 * that there is no more, so an exchange that breaks off after that, without a 4xx or 5xx, is in doubt. A code is always
 * an outcome: libcurl's own codes say little (a refused recipient is a "send error"). */
#include <stdlib.h>

#include "core/net/client_job.h"

enum { REPLY_MAX = 512 };

/* ---- the answer ---- */

/* To QUIT, which libcurl says after a refusal as well. */
static bool is_goodbye(struct ferry_slice line)
{
    return ferry_slice_starts(line, "221");
}

/* libcurl hands each reply line over as a header. The last one before the goodbye stays. */
static size_t take_reply(char *bytes, size_t size, size_t count, void *context)
{
    struct ferry_job *job = context;
    struct ferry_slice line = ferry_slice_of(bytes, size * count);
    while (line.len > 0 && (line.ptr[line.len - 1] == '\r' || line.ptr[line.len - 1] == '\n'))
        line.len--;
    if (line.len > 0 && !is_goodbye(line)) {
        ferry_buffer_clear(&job->answer);
        ferry_buffer_add(&job->answer, ferry_slice_of(line.ptr, line.len < REPLY_MAX ? line.len : REPLY_MAX));
    }
    return size * count;
}

static size_t drop(char *bytes, size_t size, size_t count, void *context)
{
    (void)bytes, (void)context;
    return size * count;
}

static void conclude(const struct ferry_job *job, CURLcode result, struct ferry_answer *answer)
{
    long code = 0;
    curl_easy_getinfo(job->easy, CURLINFO_RESPONSE_CODE, &code);
    if (result == CURLE_OK || code >= 400) {
        answer->exchange = FERRY_EXCHANGE_ANSWERED;
        answer->status = (int)code;
    } else if (job->upload_ended) {
        answer->exchange = FERRY_EXCHANGE_IN_DOUBT;
    }
}

/* ---- the request ---- */

/* libcurl writes an address into the dialogue as it stands; a line break in it would be a command. */
static enum ferry_code check_address(const char *what, const char *address, struct ferry_error *error)
{
    size_t len = strlen(address);
    if (len == 0 || len > 320)
        return ferry_fail(error, FERRY_ADDRESS_INVALID, "%s: 1 to 320 characters", what);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)address[i];
        if (c <= ' ' || c == 0x7f || c == '<' || c == '>')
            return ferry_fail(error, FERRY_ADDRESS_INVALID,
                              "%s: spaces, control characters and angle brackets are not allowed", what);
    }
    return FERRY_OK;
}

static enum ferry_code make_job(struct ferry_client *client, const struct ferry_mail_request *request,
                                ferry_answer_fn *done, void *context, struct ferry_job **out, struct ferry_error *error)
{
    struct ferry_job *job = ferry_job_new(client, request->timeout_ms, done, context);
    if (job == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    job->conclude = conclude;
    curl_easy_setopt(job->easy, CURLOPT_URL, request->url);
    curl_easy_setopt(job->easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(job->easy, CURLOPT_USE_SSL, (long)(request->tls_required ? CURLUSESSL_ALL : CURLUSESSL_NONE));
    curl_easy_setopt(job->easy, CURLOPT_HEADERFUNCTION, take_reply);
    curl_easy_setopt(job->easy, CURLOPT_HEADERDATA, job);
    curl_easy_setopt(job->easy, CURLOPT_WRITEFUNCTION, drop);
    if (request->username != NULL) {
        struct ferry_secret password = ferry_secret_copy(request->password); /* for its NUL; libcurl copies again */
        curl_easy_setopt(job->easy, CURLOPT_USERNAME, request->username);
        curl_easy_setopt(job->easy, CURLOPT_PASSWORD, password.ptr != NULL ? password.ptr : "");
        ferry_secret_done(&password);
    }
    *out = job;
    return FERRY_OK;
}

/* A libcurl read function that uploads the message. */
static size_t read_message(char *out, size_t size, size_t count, void *context)
{
    struct ferry_job *job = context;
    size_t left = job->upload.len - job->uploaded;
    size_t take = size * count < left ? size * count : left;
    if (take == 0) {
        job->upload_ended = true;
        return 0;
    }
    memcpy(out, job->upload.ptr + job->uploaded, take);
    job->uploaded += take;
    return take;
}

static enum ferry_code set_message(struct ferry_job *job, const struct ferry_mail_request *request,
                                   struct ferry_error *error)
{
    job->upload = ferry_secret_copy(request->message);
    job->recipients = curl_slist_append(NULL, request->recipient);
    if (job->upload.ptr == NULL || job->recipients == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    curl_easy_setopt(job->easy, CURLOPT_MAIL_FROM, request->sender);
    curl_easy_setopt(job->easy, CURLOPT_MAIL_RCPT, job->recipients);
    curl_easy_setopt(job->easy, CURLOPT_UPLOAD, 1L);
    /* No CURLOPT_INFILESIZE: with it libcurl does not ask to the end, and the moment of the dot cannot be told. */
    curl_easy_setopt(job->easy, CURLOPT_READFUNCTION, read_message);
    curl_easy_setopt(job->easy, CURLOPT_READDATA, job);
    return FERRY_OK;
}

enum ferry_code ferry_client_mail(struct ferry_client *client, const struct ferry_mail_request *request,
                                  ferry_answer_fn *done, void *context, struct ferry_error *error)
{
    enum ferry_code code = check_address("sender", request->sender, error);
    if (code == FERRY_OK)
        code = check_address("recipient", request->recipient, error);
    if (code != FERRY_OK)
        return code;
    struct ferry_job *job = NULL;
    code = make_job(client, request, done, context, &job, error);
    if (job == NULL)
        return code;
    code = set_message(job, request, error);
    if (code != FERRY_OK) {
        ferry_job_free(job);
        return code;
    }
    return ferry_job_submit(client, job, error);
}

enum ferry_code ferry_client_smtp_probe(struct ferry_client *client, const struct ferry_mail_request *request,
                                        ferry_answer_fn *done, void *context, struct ferry_error *error)
{
    struct ferry_job *job = NULL;
    enum ferry_code code = make_job(client, request, done, context, &job, error);
    if (job == NULL)
        return code;
    curl_easy_setopt(job->easy, CURLOPT_CUSTOMREQUEST, "NOOP");
    curl_easy_setopt(job->easy, CURLOPT_NOBODY, 1L);
    curl_easy_setopt(job->easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(job->easy, CURLOPT_FORBID_REUSE, 1L); /* it says QUIT at once */
    return ferry_job_submit(client, job, error);
}
