/* `ferry spool` inside: what its three actions share. */
#ifndef FERRY_SPOOL_H
#define FERRY_SPOOL_H

#include "core/config.h"
#include "core/spool/spool_reader.h"

struct ferry_spool_request {
    const char *const *arguments; /* all of them, for the journal */
    size_t argument_count;
    const char *config;    /* NULL: where programs look */
    const char *directory; /* NULL: the configuration's */
    const char *file;      /* export: where to; "-": standard output */
    int64_t timeout_ms;    /* drain */
    bool set_aside;
    bool json;
    bool dry_run;
};

/* Each returns an exit code, after a complaint. `config` is NULL where --directory says which spool is meant. */
int ferry_spool_status(const struct ferry_spool_request *request, const struct ferry_config *config);
int ferry_spool_export(const struct ferry_spool_request *request, const struct ferry_config *config);
int ferry_spool_drain(const struct ferry_spool_request *request, const struct ferry_config *config);

/* One line of an export. Pure. */
struct ferry_buffer;
void ferry_spool_print_row(const struct ferry_spool_stored *stored, enum ferry_spool_table table,
                           struct ferry_buffer *out);

#endif
