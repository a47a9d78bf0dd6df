/* The shapes that texts in the configuration must have. Private to core/, where labels of derived keys have
 * the shape of names. */
#ifndef FERRY_CORE_CONFIG_SHAPE_H
#define FERRY_CORE_CONFIG_SHAPE_H

#include "core/config_reader.h"

extern const struct ferry_config_shape ferry_shape_name;           /* load-script */
extern const struct ferry_config_shape ferry_shape_input;          /* app_id, and not `wait` */
extern const struct ferry_config_shape ferry_shape_word;           /* printable, no blanks */
extern const struct ferry_config_shape ferry_shape_glob;           /* app.*, com.qlik.v1.app.created */
extern const struct ferry_config_shape ferry_shape_topic;          /* what Kafka allows, short enough for suffixes */
extern const struct ferry_config_shape ferry_shape_topic_template; /* qlik.{event} */
extern const struct ferry_config_shape ferry_shape_url_path;       /* /webhooks/qlik */
extern const struct ferry_config_shape ferry_shape_cidr;           /* 10.0.0.0/8, ::1 */
extern const struct ferry_config_shape ferry_shape_origin;         /* https://example.com */
extern const struct ferry_config_shape ferry_shape_uri;            /* a URI-reference that is not empty */
extern const struct ferry_config_shape ferry_shape_domain;         /* example.com, * */
extern const struct ferry_config_shape ferry_shape_mailbox;        /* Name <local@example.com> */
extern const struct ferry_config_shape ferry_shape_method;         /* POST */
extern const struct ferry_config_shape ferry_shape_status;         /* 2xx, 404 */

/* Why this URL may not be called, or NULL: `schemes` (NULL-ended) are the allowed ones, the first `secure_count` of
 * them secure; the others need loopback or `insecure`. Looks at the scheme and the authority; what follows the host is
 * the caller's. */
const char *ferry_config_url_problem(struct ferry_slice url, const char *const *schemes, size_t secure_count,
                                     bool insecure);
/* Is the host of this URL or address this very machine (localhost, 127.0.0.0/8, ::1)? */
bool ferry_config_is_loopback(struct ferry_slice host);

#endif
