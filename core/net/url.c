#include <arpa/inet.h>
#include <curl/curl.h>

#include "core/net/client.h"

static void free_url(CURLU **url)
{
    curl_url_cleanup(*url);
}

static void free_part(char **part)
{
    curl_free(*part);
}

/* 127.0.0.0/8, ::1, localhost. libcurl has brought spellings like 127.1 and 0x7f000001 to dotted form. */
static bool is_loopback(const char *host)
{
    struct in_addr four;
    if (inet_pton(AF_INET, host, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    return strcmp(host, "[::1]") == 0 || strcasecmp(host, "localhost") == 0;
}

static bool has_controls(const char *url)
{
    for (const char *c = url; *c != '\0'; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return true;
    return false;
}

/* "scheme://h…": libcurl would take one slash, or three, for two. */
static bool has_authority(const char *url)
{
    const char *colon = strchr(url, ':');
    return colon != NULL && strncmp(colon, "://", 3) == 0 && colon[3] != '/';
}

/* The messages name the host at most: the rest of a URL may be a secret. */
enum ferry_code ferry_url_check(const char *url, bool insecure, struct ferry_error *error)
{
    if (has_controls(url))
        return ferry_fail(error, FERRY_CONFIG, "a URL has no spaces and no control characters");
    if (!has_authority(url))
        return ferry_fail(error, FERRY_CONFIG, "not a URL; it is written https://host/path");
    FERRY_CLEANUP(free_url) CURLU *parsed = curl_url();
    if (parsed == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    CURLUcode wrong = curl_url_set(parsed, CURLUPART_URL, url, CURLU_PATH_AS_IS | CURLU_NON_SUPPORT_SCHEME);
    if (wrong != CURLUE_OK)
        return ferry_fail(error, FERRY_CONFIG, "not a URL: %s", curl_url_strerror(wrong));
    FERRY_CLEANUP(free_part) char *scheme = NULL;
    FERRY_CLEANUP(free_part) char *host = NULL;
    FERRY_CLEANUP(free_part) char *user = NULL;
    FERRY_CLEANUP(free_part) char *password = NULL;
    if (curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) || curl_url_get(parsed, CURLUPART_HOST, &host, 0))
        return ferry_fail(error, FERRY_CONFIG, "not a URL; it is written https://host/path");
    if (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0)
        return ferry_fail(error, FERRY_CONFIG, "scheme \"%s\" is not allowed; http and https are", scheme);
    if (curl_url_get(parsed, CURLUPART_USER, &user, 0) == CURLUE_OK ||
        curl_url_get(parsed, CURLUPART_PASSWORD, &password, 0) == CURLUE_OK)
        return ferry_fail(error, FERRY_CONFIG, "user and password do not belong into a URL; use a header");
    if (strcmp(scheme, "http") == 0 && !insecure && !is_loopback(host))
        return ferry_fail(error, FERRY_CONFIG, "http to %s is not encrypted; use https, or say insecure: true", host);
    return FERRY_OK;
}

/* ---- origins ---- */

struct origin {
    char *scheme;
    char *host;
    char *port;
};

static void free_origin(struct origin *origin)
{
    curl_free(origin->scheme);
    curl_free(origin->host);
    curl_free(origin->port);
}

/* False when `url` has none, or more before its host than a link has. */
static bool read_origin(const char *url, struct origin *origin)
{
    FERRY_CLEANUP(free_url) CURLU *parsed = curl_url();
    FERRY_CLEANUP(free_part) char *user = NULL;
    FERRY_CLEANUP(free_part) char *password = NULL;
    return parsed != NULL && !has_controls(url) && has_authority(url) &&
           curl_url_set(parsed, CURLUPART_URL, url, CURLU_PATH_AS_IS) == CURLUE_OK &&
           curl_url_get(parsed, CURLUPART_USER, &user, 0) != CURLUE_OK &&
           curl_url_get(parsed, CURLUPART_PASSWORD, &password, 0) != CURLUE_OK &&
           curl_url_get(parsed, CURLUPART_SCHEME, &origin->scheme, 0) == CURLUE_OK &&
           curl_url_get(parsed, CURLUPART_HOST, &origin->host, 0) == CURLUE_OK &&
           curl_url_get(parsed, CURLUPART_PORT, &origin->port, CURLU_DEFAULT_PORT) == CURLUE_OK;
}

bool ferry_url_same_origin(const char *a, const char *b)
{
    FERRY_CLEANUP(free_origin) struct origin left = {NULL, NULL, NULL};
    FERRY_CLEANUP(free_origin) struct origin right = {NULL, NULL, NULL};
    return read_origin(a, &left) && read_origin(b, &right) && strcmp(left.scheme, right.scheme) == 0 &&
           strcasecmp(left.host, right.host) == 0 && strcmp(left.port, right.port) == 0;
}
