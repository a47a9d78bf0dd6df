/* A tenant inside the test: answers each request by its path, from a table that the test sets. */
#ifndef FERRY_TESTS_UNIT_QLIK_SITE_H
#define FERRY_TESTS_UNIT_QLIK_SITE_H

#include "../net/peer.h"

/* What comes to a path; `times` 0: always, else the row is used up. The whole answer, or NULL: none, the peer leaves;
 * HANG: none, for as long as the client stays. */
struct page {
    const char *path; /* the beginning of "GET /…" */
    const char *answer;
    int times;
};

#define HANG ((const char *)-1)
#define OK(body) "HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 19:11:25 GMT\r\nConnection: close\r\n\r\n" body
#define TOKEN(name) OK("{\"access_token\":\"" name "\",\"expires_in\":3600}")

static struct page *site_pages; /* ends with a path of NULL */

static inline void site_hang(struct peer *peer)
{
    char byte;
    while (peer_receive(peer, &byte, 1) == 1)
        continue;
}

static inline void site_answer(struct peer *peer)
{
    if (!peer_read_request(peer))
        return;
    char request[sizeof peer->server->seen];
    pthread_mutex_lock(&peer->server->lock);
    memcpy(request, peer->server->seen, sizeof request);
    for (struct page *page = site_pages; page->path != NULL; page++) {
        if (page->times < 0 || strncmp(request, page->path, strlen(page->path)) != 0)
            continue;
        if (page->times > 0 && --page->times == 0)
            page->times = -1;
        pthread_mutex_unlock(&peer->server->lock);
        if (page->answer == HANG)
            site_hang(peer);
        else if (page->answer != NULL)
            peer_say(peer, page->answer);
        return;
    }
    pthread_mutex_unlock(&peer->server->lock);
    peer_say(peer, "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n");
}

/* What the last request was, whole. */
static inline const char *site_seen(struct server *server, char out[8192])
{
    pthread_mutex_lock(&server->lock);
    memcpy(out, server->seen, sizeof server->seen);
    pthread_mutex_unlock(&server->lock);
    return out;
}

/* Its URL, and what follows. Each server has one of its own, its port, since tokens and blocks are kept by it for the
 * whole program. */
enum { SITE_URL = 128 };
static inline void site_url(const struct server *server, const char *rest, char out[SITE_URL])
{
    snprintf(out, SITE_URL, "http://127.0.0.1:%u%s", server->port, rest);
}

#endif
