/* The thread that owns the multi handle. Callers make a job (with its easy handle) on their own thread and put it on
 * the inbox; the client's thread adds it, waits in curl_multi_poll until something happens, concludes what is finished
 * and calls back. Nothing is locked during a callback, so that it may submit the next exchange. */
#include "core/net/client.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/net/client_job.h"

enum {
    POLL_MS = 1000, /* libcurl's own timers shorten it */
    KEPT_CONNECTIONS = 64,
    CONNECT_TIMEOUT_MS = 10000,
    DEFAULT_TIMEOUT_MS = 30000, /* libcurl would take 0 as "for ever" */
    DEFAULT_ANSWER_MAX = 64 * 1024,
};

struct ferry_client {
    CURLM *multi;
    char *ca_file;
    pthread_t thread;
    pthread_mutex_t lock; /* of the inbox and `stopping` */
    struct ferry_job *inbox;
    struct ferry_job **inbox_end;
    bool stopping;
};

/* ---- a job ---- */

struct ferry_job *ferry_job_new(const struct ferry_client *client, int64_t timeout_ms, ferry_answer_fn *done,
                                void *context)
{
    struct ferry_job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return NULL;
    job->easy = curl_easy_init();
    if (job->easy == NULL) {
        free(job);
        return NULL;
    }
    ferry_buffer_init(&job->answer, DEFAULT_ANSWER_MAX);
    job->done = done;
    job->context = context;
    curl_easy_setopt(job->easy, CURLOPT_PRIVATE, job);
    curl_easy_setopt(job->easy, CURLOPT_ERRORBUFFER, job->reason);
    curl_easy_setopt(job->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(job->easy, CURLOPT_TIMEOUT_MS, timeout_ms > 0 ? (long)timeout_ms : DEFAULT_TIMEOUT_MS);
    curl_easy_setopt(job->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(job->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (client->ca_file != NULL) {
        curl_easy_setopt(job->easy, CURLOPT_CAINFO, client->ca_file);
        curl_easy_setopt(job->easy, CURLOPT_CAPATH, NULL);
    }
    return job;
}

static void wipe_list(struct curl_slist *list)
{
    for (struct curl_slist *item = list; item != NULL; item = item->next)
        explicit_bzero(item->data, strlen(item->data));
    curl_slist_free_all(list);
}

void ferry_job_free(struct ferry_job *job)
{
    if (job == NULL)
        return;
    curl_easy_cleanup(job->easy);
    wipe_list(job->headers);
    curl_slist_free_all(job->recipients);
    ferry_secret_done(&job->upload);
    if (job->answer.ptr != NULL)
        explicit_bzero(job->answer.ptr, job->answer.capacity);
    ferry_buffer_done(&job->answer);
    free(job);
}

/* Who finds others in the inbox need not wake the thread: it has not looked there since they did. */
enum ferry_code ferry_job_submit(struct ferry_client *client, struct ferry_job *job, struct ferry_error *error)
{
    pthread_mutex_lock(&client->lock);
    bool stopping = client->stopping, first = client->inbox == NULL;
    if (!stopping) {
        *client->inbox_end = job;
        client->inbox_end = &job->next;
    }
    pthread_mutex_unlock(&client->lock);
    if (stopping) {
        ferry_job_free(job);
        return ferry_fail(error, FERRY_STOPPING, "the program is stopping");
    }
    if (first)
        curl_multi_wakeup(client->multi);
    return FERRY_OK;
}

/* ---- the thread ---- */

static void finish(struct ferry_job *job, CURLcode result)
{
    struct ferry_answer answer = {.exchange = FERRY_EXCHANGE_NOT_SENT,
                                  .body = ferry_buffer_slice(&job->answer),
                                  .truncated = job->truncated,
                                  .retry_after_ms = -1,
                                  .date_ms = -1,
                                  .reason = ""};
    if (result != CURLE_OK)
        answer.reason = job->reason[0] != '\0' ? job->reason : curl_easy_strerror(result);
    curl_easy_getinfo(job->easy, CURLINFO_TOTAL_TIME, &answer.seconds);
    job->conclude(job, result, &answer);
    job->done(job->context, &answer);
    ferry_job_free(job);
}

static struct ferry_job *take_inbox(struct ferry_client *client, bool *stopping)
{
    pthread_mutex_lock(&client->lock);
    struct ferry_job *jobs = client->inbox;
    client->inbox = NULL;
    client->inbox_end = &client->inbox;
    *stopping = client->stopping;
    pthread_mutex_unlock(&client->lock);
    return jobs;
}

/* The jobs that run form a list, for the day of the stop; libcurl cannot be asked for its handles in 7.88. */
struct running {
    struct ferry_job *first;
};

static void run_job(struct ferry_client *client, struct running *running, struct ferry_job *job)
{
    if (curl_multi_add_handle(client->multi, job->easy) != CURLM_OK) {
        finish(job, CURLE_OUT_OF_MEMORY);
        return;
    }
    job->next = running->first;
    running->first = job;
}

static void unlink_job(struct running *running, struct ferry_job *job)
{
    for (struct ferry_job **at = &running->first; *at != NULL; at = &(*at)->next)
        if (*at == job) {
            *at = job->next;
            return;
        }
}

static void finish_done(struct ferry_client *client, struct running *running)
{
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(client->multi, &left)) != NULL;) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode result = message->data.result; /* the message dies with the removal */
        struct ferry_job *job;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &job);
        curl_multi_remove_handle(client->multi, job->easy);
        unlink_job(running, job);
        finish(job, result);
    }
}

static void abort_all(struct ferry_client *client, struct running *running)
{
    while (running->first != NULL) {
        struct ferry_job *job = running->first;
        running->first = job->next;
        curl_multi_remove_handle(client->multi, job->easy);
        snprintf(job->reason, sizeof job->reason, "aborted: the program is stopping");
        finish(job, CURLE_ABORTED_BY_CALLBACK);
    }
}

static void *run_client(void *context)
{
    struct ferry_client *client = context;
    struct running running = {NULL};
    for (bool stopping = false; !stopping;) {
        for (struct ferry_job *job = take_inbox(client, &stopping), *next; job != NULL; job = next) {
            next = job->next;
            run_job(client, &running, job);
        }
        int still;
        curl_multi_perform(client->multi, &still);
        finish_done(client, &running);
        if (!stopping)
            curl_multi_poll(client->multi, NULL, 0, POLL_MS, NULL);
    }
    abort_all(client, &running);
    return NULL;
}

/* ---- life ---- */

static void global_init(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void free_client(struct ferry_client *client)
{
    if (client->multi != NULL)
        curl_multi_cleanup(client->multi);
    pthread_mutex_destroy(&client->lock);
    free(client->ca_file);
    free(client);
}

enum ferry_code ferry_client_start(const char *ca_file, struct ferry_client **out, struct ferry_error *error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, global_init);
    struct ferry_client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    pthread_mutex_init(&client->lock, NULL);
    client->inbox_end = &client->inbox;
    client->multi = curl_multi_init();
    client->ca_file = ca_file != NULL ? strdup(ca_file) : NULL;
    if (client->multi == NULL || (ca_file != NULL && client->ca_file == NULL)) {
        free_client(client);
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    }
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)KEPT_CONNECTIONS);
    int failed = pthread_create(&client->thread, NULL, run_client, client);
    if (failed) {
        free_client(client);
        return ferry_fail(error, FERRY_SYSTEM, "cannot start a thread: %s", strerror(failed));
    }
    *out = client;
    return FERRY_OK;
}

void ferry_client_stop(struct ferry_client *client)
{
    if (client == NULL)
        return;
    pthread_mutex_lock(&client->lock);
    client->stopping = true;
    pthread_mutex_unlock(&client->lock);
    curl_multi_wakeup(client->multi);
    pthread_join(client->thread, NULL);
    free_client(client);
}
