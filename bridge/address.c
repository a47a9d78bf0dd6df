#include "bridge/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

static const unsigned char v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool is_v4(const struct ferry_ip *ip)
{
    return memcmp(ip->bytes, v4_prefix, sizeof v4_prefix) == 0;
}

static struct ferry_ip map_v4(const struct in_addr *v4)
{
    struct ferry_ip ip;
    memcpy(ip.bytes, v4_prefix, sizeof v4_prefix);
    memcpy(ip.bytes + sizeof v4_prefix, v4, 4);
    return ip;
}

bool ferry_ip_from_sockaddr(const struct sockaddr *address, struct ferry_ip *ip)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        *ip = map_v4(&v4.sin_addr);
        return true;
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        memcpy(ip->bytes, &v6.sin6_addr, sizeof ip->bytes);
        return true;
    }
    return false;
}

/* The host part of "host", "host:port", "[host]" and "[host]:port". */
static struct ferry_slice without_port(struct ferry_slice text)
{
    if (text.len > 0 && text.ptr[0] == '[') {
        const char *end = memchr(text.ptr, ']', text.len);
        return end != NULL ? ferry_slice_of(text.ptr + 1, (size_t)(end - text.ptr) - 1) : text;
    }
    const char *colon = memchr(text.ptr, ':', text.len);
    if (colon == NULL || memchr(colon + 1, ':', text.len - (size_t)(colon + 1 - text.ptr)) != NULL)
        return text; /* none, or IPv6 */
    return ferry_slice_of(text.ptr, (size_t)(colon - text.ptr));
}

bool ferry_ip_parse(struct ferry_slice text, struct ferry_ip *ip)
{
    char host[FERRY_IP_TEXT];
    struct ferry_slice bare = text.len > 0 ? without_port(text) : text;
    if (bare.len == 0 || bare.len >= sizeof host)
        return false;
    memcpy(host, bare.ptr, bare.len);
    host[bare.len] = '\0';
    struct in_addr v4;
    if (inet_pton(AF_INET, host, &v4) == 1) {
        *ip = map_v4(&v4);
        return true;
    }
    struct ferry_ip v6;
    if (inet_pton(AF_INET6, host, v6.bytes) != 1)
        return false;
    *ip = v6;
    return true;
}

void ferry_ip_format(const struct ferry_ip *ip, char out[FERRY_IP_TEXT])
{
    if (is_v4(ip))
        inet_ntop(AF_INET, ip->bytes + sizeof v4_prefix, out, FERRY_IP_TEXT);
    else
        inet_ntop(AF_INET6, ip->bytes, out, FERRY_IP_TEXT);
}

struct ferry_ip ferry_ip_of_caller(const struct ferry_ip *ip)
{
    struct ferry_ip as = *ip;
    if (!is_v4(ip))
        memset(as.bytes + 8, 0, 8);
    return as;
}

struct ferry_ip ferry_ip_blur(const struct ferry_ip *ip)
{
    struct ferry_ip as = *ip;
    size_t kept = is_v4(ip) ? 15 : 6;
    memset(as.bytes + kept, 0, sizeof as.bytes - kept);
    return as;
}

bool ferry_ip_equal(const struct ferry_ip *a, const struct ferry_ip *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

bool ferry_network_parse(const char *cidr, struct ferry_network *network)
{
    const char *slash = strchr(cidr, '/');
    size_t host_len = slash != NULL ? (size_t)(slash - cidr) : strlen(cidr);
    struct ferry_ip ip;
    if (!ferry_ip_parse(ferry_slice_of(cidr, host_len), &ip))
        return false;
    unsigned width = is_v4(&ip) ? 32 : 128;
    unsigned long bits = width;
    if (slash != NULL) {
        char *end;
        if (slash[1] < '0' || slash[1] > '9')
            return false;
        bits = strtoul(slash + 1, &end, 10);
        if (*end != '\0' || bits > width)
            return false;
    }
    *network = (struct ferry_network){.ip = ip, .bits = (unsigned)bits + 128 - width};
    return true;
}

bool ferry_network_has(const struct ferry_network *network, const struct ferry_ip *ip)
{
    unsigned whole = network->bits / 8, rest = network->bits % 8;
    if (memcmp(network->ip.bytes, ip->bytes, whole) != 0)
        return false;
    return rest == 0 || (network->ip.bytes[whole] ^ ip->bytes[whole]) >> (8 - rest) == 0;
}

/* ---- trusted proxies ---- */

enum ferry_code ferry_proxies_init(struct ferry_proxies *proxies, struct ferry_strings cidrs, struct ferry_error *error)
{
    struct ferry_proxies made = {.count = cidrs.count};
    if (cidrs.count > 0 && (made.networks = calloc(cidrs.count, sizeof *made.networks)) == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    for (size_t i = 0; i < cidrs.count; i++) {
        if (!ferry_network_parse(cidrs.items[i], &made.networks[i])) {
            ferry_proxies_done(&made);
            return ferry_fail(error, FERRY_CONFIG, "trusted_proxies: \"%s\" is no network such as 10.0.0.0/8",
                              cidrs.items[i]);
        }
    }
    *proxies = made;
    return FERRY_OK;
}

void ferry_proxies_done(struct ferry_proxies *proxies)
{
    free(proxies->networks);
    *proxies = (struct ferry_proxies){0};
}

bool ferry_proxies_trust(const struct ferry_proxies *proxies, const struct ferry_ip *ip)
{
    for (size_t i = 0; i < proxies->count; i++) {
        if (ferry_network_has(&proxies->networks[i], ip))
            return true;
    }
    return false;
}

/* Cuts the last member off a comma-separated list. */
static struct ferry_slice last_member(struct ferry_slice *list)
{
    size_t start = list->len;
    while (start > 0 && list->ptr[start - 1] != ',')
        start--;
    struct ferry_slice member = ferry_slice_trim(ferry_slice_of(list->ptr + start, list->len - start));
    list->len = start > 0 ? start - 1 : 0;
    return member;
}

struct ferry_ip ferry_proxies_client(const struct ferry_proxies *proxies, const struct ferry_ip *peer,
                                     struct ferry_pairs headers)
{
    struct ferry_ip client = *peer;
    for (size_t i = headers.count; i-- > 0;) {
        if (!ferry_slice_is_nocase(headers.items[i].name, "X-Forwarded-For"))
            continue;
        struct ferry_slice list = headers.items[i].value;
        while (list.len > 0) {
            struct ferry_ip said;
            if (!ferry_proxies_trust(proxies, &client) || !ferry_ip_parse(last_member(&list), &said))
                return client;
            client = said;
        }
    }
    return client;
}

/* ---- counts: a hash table with linear probing; removal moves later entries back, so there are no tombstones ---- */

struct count {
    struct ferry_ip ip;
    size_t connections; /* 0: the place is free */
};

struct ferry_address_counts {
    pthread_mutex_t lock;
    struct count *places;
    size_t capacity; /* a power of two */
    size_t used;
};

struct ferry_address_counts *ferry_address_counts_new(void)
{
    struct ferry_address_counts *counts = calloc(1, sizeof *counts);
    if (counts == NULL)
        return NULL;
    counts->capacity = 64;
    counts->places = calloc(counts->capacity, sizeof *counts->places);
    if (counts->places == NULL) {
        free(counts);
        return NULL;
    }
    pthread_mutex_init(&counts->lock, NULL);
    return counts;
}

void ferry_address_counts_free(struct ferry_address_counts *counts)
{
    if (counts == NULL)
        return;
    pthread_mutex_destroy(&counts->lock);
    free(counts->places);
    free(counts);
}

static size_t home(const struct ferry_ip *ip, size_t capacity)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < sizeof ip->bytes; i++)
        hash = (hash ^ ip->bytes[i]) * 1099511628211u;
    return (size_t)(hash ^ hash >> 32) & (capacity - 1);
}

/* Where it is, or the free place where it would go. */
static struct count *find(struct count *places, size_t capacity, const struct ferry_ip *ip)
{
    size_t at = home(ip, capacity);
    while (places[at].connections > 0 && !ferry_ip_equal(&places[at].ip, ip))
        at = (at + 1) & (capacity - 1);
    return &places[at];
}

static bool grow(struct ferry_address_counts *counts)
{
    size_t capacity = counts->capacity * 2;
    struct count *places = calloc(capacity, sizeof *places);
    if (places == NULL)
        return false;
    for (size_t i = 0; i < counts->capacity; i++) {
        if (counts->places[i].connections > 0)
            *find(places, capacity, &counts->places[i].ip) = counts->places[i];
    }
    free(counts->places);
    counts->places = places;
    counts->capacity = capacity;
    return true;
}

size_t ferry_address_counts_get(struct ferry_address_counts *counts, const struct ferry_ip *ip)
{
    struct ferry_ip as = ferry_ip_of_caller(ip);
    pthread_mutex_lock(&counts->lock);
    size_t connections = find(counts->places, counts->capacity, &as)->connections;
    pthread_mutex_unlock(&counts->lock);
    return connections;
}

bool ferry_address_counts_add(struct ferry_address_counts *counts, const struct ferry_ip *ip)
{
    struct ferry_ip as = ferry_ip_of_caller(ip);
    pthread_mutex_lock(&counts->lock);
    bool room = counts->used * 2 < counts->capacity || grow(counts);
    if (room) {
        struct count *place = find(counts->places, counts->capacity, &as);
        if (place->connections++ == 0) {
            place->ip = as;
            counts->used++;
        }
    }
    pthread_mutex_unlock(&counts->lock);
    return room;
}

/* Closes the gap at `at`: whatever stands behind it and may stand there moves up. */
static void close_gap(struct ferry_address_counts *counts, size_t at)
{
    size_t mask = counts->capacity - 1;
    for (size_t next = (at + 1) & mask; counts->places[next].connections > 0; next = (next + 1) & mask) {
        size_t wanted = home(&counts->places[next].ip, counts->capacity);
        if (((next - wanted) & mask) < ((next - at) & mask))
            continue;
        counts->places[at] = counts->places[next];
        counts->places[next].connections = 0;
        at = next;
    }
}

void ferry_address_counts_remove(struct ferry_address_counts *counts, const struct ferry_ip *ip)
{
    struct ferry_ip as = ferry_ip_of_caller(ip);
    pthread_mutex_lock(&counts->lock);
    struct count *place = find(counts->places, counts->capacity, &as);
    if (place->connections > 0 && --place->connections == 0) {
        counts->used--;
        close_gap(counts, (size_t)(place - counts->places));
    }
    pthread_mutex_unlock(&counts->lock);
}
