/* HTTP/1.1 over the client.
 *
 * What must never happen is that a request which may have taken effect is sent again behind the caller's back. libcurl
 * does that: when a kept connection turns out dead before a byte of the answer came, it repeats any request, POST too.
 * So a request with a body is stopped where libcurl is about to send it, if a byte of it has left before (by then there
 * is a new connection already), and the exchange ends in doubt. A request without a body that is not idempotent gets a
 * connection of its own. HTTP/2 is left out because there a byte on the wire says nothing about a request. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/net/client_job.h"

enum { YEAR_S = 366 * 24 * 3600 };

/* ---- the answer ---- */

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
    struct ferry_job *job = context;
    size_t len = size * count;
    size_t room = job->answer.max - job->answer.len;
    ferry_buffer_add(&job->answer, ferry_slice_of(bytes, len < room ? len : room));
    job->truncated |= len > room || job->answer.failed; /* no memory for it is no room either */
    return job->truncated ? 0 : len;                    /* 0 ends the transfer: nobody reads on */
}

/* Retry-After (RFC 9110, 10.2.3): seconds, or a date. */
static int64_t retry_after_ms(CURL *easy)
{
    struct curl_header *header;
    if (curl_easy_header(easy, "Retry-After", 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return -1;
    const char *text = header->value;
    int64_t seconds;
    if (isdigit((unsigned char)text[0])) {
        char *end;
        seconds = strtoll(text, &end, 10);
        if (*end != '\0')
            return -1;
    } else {
        time_t date = curl_getdate(text, NULL);
        if (date < 0)
            return -1;
        seconds = date - time(NULL);
        if (seconds < 0)
            seconds = 0;
    }
    return seconds <= YEAR_S ? seconds * 1000 : -1;
}

static int64_t date_ms(CURL *easy)
{
    struct curl_header *header;
    if (curl_easy_header(easy, "Date", 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return -1;
    time_t date = curl_getdate(header->value, NULL);
    return date >= 0 ? (int64_t)date * 1000 : -1;
}

static void conclude(const struct ferry_job *job, CURLcode result, struct ferry_answer *answer)
{
    (void)result;
    if (job->repeat_refused)
        answer->reason = "the connection broke before an answer came";
    long status = 0, sent_bytes = 0;
    curl_off_t ready = 0; /* 0 until the connection, TLS included, is there: a proxy's CONNECT is not our request */
    curl_easy_getinfo(job->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(job->easy, CURLINFO_REQUEST_SIZE, &sent_bytes);
    curl_easy_getinfo(job->easy, CURLINFO_PRETRANSFER_TIME_T, &ready);
    if (status >= 200) { /* a status is an outcome, even if the body broke off */
        answer->exchange = FERRY_EXCHANGE_ANSWERED;
        answer->status = (int)status;
        answer->retry_after_ms = retry_after_ms(job->easy);
        answer->date_ms = date_ms(job->easy);
    } else if (job->begun ? sent_bytes > job->sent_before : sent_bytes > 0 && ready > 0) {
        answer->exchange = FERRY_EXCHANGE_IN_DOUBT;
    }
}

/* ---- the request ---- */

/* libcurl is about to send it, perhaps again: has something left since the first time? */
static int refuse_repeat(void *context, char *to, char *from, int to_port, int from_port)
{
    (void)to, (void)from, (void)to_port, (void)from_port;
    struct ferry_job *job = context;
    long sent_bytes = 0;
    curl_easy_getinfo(job->easy, CURLINFO_REQUEST_SIZE, &sent_bytes);
    if (!job->begun)
        job->sent_before = sent_bytes;
    job->begun = true;
    job->repeat_refused = sent_bytes > job->sent_before;
    return job->repeat_refused ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static bool append_header(struct ferry_job *job, const char *line)
{
    struct curl_slist *longer = curl_slist_append(job->headers, line);
    if (longer == NULL)
        return false;
    job->headers = longer;
    return true;
}

static bool has_line_break(struct ferry_slice text)
{
    return text.len > 0 && (memchr(text.ptr, '\r', text.len) != NULL || memchr(text.ptr, '\n', text.len) != NULL ||
                            memchr(text.ptr, '\0', text.len) != NULL);
}

static enum ferry_code add_header(struct ferry_job *job, const struct ferry_pair *header, struct ferry_error *error)
{
    if (header->name.len == 0 || has_line_break(header->name) || has_line_break(header->value))
        return ferry_fail(error, FERRY_TEMPLATE, "header %.*s: CR, LF and NUL are not allowed",
                          FERRY_SLICE_ARGS(header->name));
    /* "Name;" is how libcurl is told to send a header without a value. */
    char *line;
    int len = header->value.len > 0
                  ? asprintf(&line, "%.*s: %.*s", FERRY_SLICE_ARGS(header->name), FERRY_SLICE_ARGS(header->value))
                  : asprintf(&line, "%.*s;", FERRY_SLICE_ARGS(header->name));
    if (len < 0)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    bool added = append_header(job, line);
    explicit_bzero(line, (size_t)len);
    free(line);
    return added ? FERRY_OK : ferry_fail(error, FERRY_MEMORY, "out of memory");
}

static enum ferry_code add_headers(struct ferry_job *job, const struct ferry_http_request *request,
                                   struct ferry_error *error)
{
    struct ferry_pairs headers = {request->headers, request->header_count};
    for (size_t i = 0; i < headers.count; i++) {
        enum ferry_code code = add_header(job, &headers.items[i], error);
        if (code != FERRY_OK)
            return code;
    }
    /* Nothing that libcurl would add by itself: no form type, no waiting for 100 Continue, no chunks. */
    bool added = append_header(job, "Expect:") && append_header(job, "Transfer-Encoding:");
    if (added && ferry_pairs_count(headers, "content-type") == 0)
        added = append_header(job, "Content-Type:");
    if (!added)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    curl_easy_setopt(job->easy, CURLOPT_HTTPHEADER, job->headers);
    return FERRY_OK;
}

static bool is_one_of(const char *method, const char *const *methods)
{
    for (; *methods != NULL; methods++)
        if (strcmp(method, *methods) == 0)
            return true;
    return false;
}

static bool is_token(const char *method)
{
    return method[0] != '\0' &&
           strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_") == strlen(method);
}

static enum ferry_code set_body(struct ferry_job *job, const struct ferry_http_request *request,
                                struct ferry_error *error)
{
    static const char *const idempotent[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", NULL};
    static const char *const bodied[] = {"POST", "PUT", "PATCH", NULL};
    if (!is_token(request->method))
        return ferry_fail(error, FERRY_CONFIG, "a method is one word of letters");
    bool repeatable = is_one_of(request->method, idempotent);
    if (request->body.len > 0 || is_one_of(request->method, bodied)) {
        curl_easy_setopt(job->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(job->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
        curl_easy_setopt(job->easy, CURLOPT_POSTFIELDS, "");
        curl_easy_setopt(job->easy, CURLOPT_PREREQFUNCTION, refuse_repeat);
        curl_easy_setopt(job->easy, CURLOPT_PREREQDATA, job);
    }
    if (strcmp(request->method, "HEAD") == 0)
        curl_easy_setopt(job->easy, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(job->easy, CURLOPT_CUSTOMREQUEST, request->method);
    if (request->body.len == 0) {
        curl_easy_setopt(job->easy, CURLOPT_FRESH_CONNECT, repeatable ? 0L : 1L);
        return FERRY_OK;
    }
    job->upload = ferry_secret_copy(request->body);
    if (job->upload.ptr == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    curl_easy_setopt(job->easy, CURLOPT_POSTFIELDS, job->upload.ptr);
    return FERRY_OK;
}

static void set_rules(struct ferry_job *job, const char *url)
{
    curl_easy_setopt(job->easy, CURLOPT_URL, url);
    curl_easy_setopt(job->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(job->easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(job->easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(job->easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    curl_easy_setopt(job->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(job->easy, CURLOPT_USERAGENT, "ferry/" FERRY_VERSION);
    curl_easy_setopt(job->easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(job->easy, CURLOPT_WRITEDATA, job);
    job->conclude = conclude;
}

enum ferry_code ferry_client_http(struct ferry_client *client, const struct ferry_http_request *request,
                                  ferry_answer_fn *done, void *context, struct ferry_error *error)
{
    struct ferry_job *job = ferry_job_new(client, request->timeout_ms, done, context);
    if (job == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    set_rules(job, request->url);
    if (request->answer_max > 0)
        job->answer.max = request->answer_max;
    enum ferry_code code = set_body(job, request, error);
    if (code == FERRY_OK)
        code = add_headers(job, request, error);
    if (code != FERRY_OK) {
        ferry_job_free(job);
        return code;
    }
    return ferry_job_submit(client, job, error);
}
