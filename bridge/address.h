/* Who calls: addresses, networks of trusted proxies, and how many connections each address holds. */
#ifndef FERRY_BRIDGE_ADDRESS_H
#define FERRY_BRIDGE_ADDRESS_H

#include "core/config.h"

struct sockaddr;

/* IPv6, or IPv4 mapped into it, so that one comparison serves both. */
struct ferry_ip {
    unsigned char bytes[16];
};

/* False for a family that is neither IPv4 nor IPv6. */
bool ferry_ip_from_sockaddr(const struct sockaddr *address, struct ferry_ip *ip);
/* "192.0.2.1", "2001:db8::1", "[2001:db8::1]:443", "192.0.2.1:443"; false for anything else. */
bool ferry_ip_parse(struct ferry_slice text, struct ferry_ip *ip);
enum { FERRY_IP_TEXT = 46 };
void ferry_ip_format(const struct ferry_ip *ip, char out[FERRY_IP_TEXT]);
bool ferry_ip_equal(const struct ferry_ip *a, const struct ferry_ip *b);

/* The address as one caller's: of IPv6 the /64, which is what one caller is given. */
struct ferry_ip ferry_ip_of_caller(const struct ferry_ip *ip);
/* The network that it is in, which is no person: of IPv4 24 bits, of IPv6 48. */
struct ferry_ip ferry_ip_blur(const struct ferry_ip *ip);

struct ferry_network {
    struct ferry_ip ip;
    unsigned bits; /* of 128 */
};
/* "10.0.0.0/8", "2001:db8::/32", or one address. */
bool ferry_network_parse(const char *cidr, struct ferry_network *network);
bool ferry_network_has(const struct ferry_network *network, const struct ferry_ip *ip);

/* The proxies of `trusted_proxies`. */
struct ferry_proxies {
    struct ferry_network *networks;
    size_t count;
};
/* Fails with FERRY_CONFIG, naming the entry. */
FERRY_NODISCARD enum ferry_code ferry_proxies_init(struct ferry_proxies *proxies, struct ferry_strings cidrs,
                                                   struct ferry_error *error);
void ferry_proxies_done(struct ferry_proxies *proxies);
bool ferry_proxies_trust(const struct ferry_proxies *proxies, const struct ferry_ip *ip);
/* The caller behind `peer`: X-Forwarded-For is read from the right as long as trusted proxies speak. `peer` itself if
 * it is not trusted, or if what it says is no address. */
struct ferry_ip ferry_proxies_client(const struct ferry_proxies *proxies, const struct ferry_ip *peer,
                                     struct ferry_pairs headers);

/* Counts connections by caller. Any thread. */
struct ferry_address_counts;
struct ferry_address_counts *ferry_address_counts_new(void);
void ferry_address_counts_free(struct ferry_address_counts *counts);
size_t ferry_address_counts_get(struct ferry_address_counts *counts, const struct ferry_ip *ip);
/* False when memory ran out; then nothing was counted. */
bool ferry_address_counts_add(struct ferry_address_counts *counts, const struct ferry_ip *ip);
void ferry_address_counts_remove(struct ferry_address_counts *counts, const struct ferry_ip *ip);

#endif
