/* A configuration from YAML text and the snapshot of its doors, for tests of the bridge. */
#ifndef FERRY_TESTS_UNIT_BRIDGE_DOORS_H
#define FERRY_TESTS_UNIT_BRIDGE_DOORS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridge/snapshot.h"
#include "core/buffer.h"

#define DOORS_SECRET "0123456789abcdef0123456789abcdef"

static inline struct ferry_config *doors_config(const char *yaml)
{
    char path[] = "/tmp/ferry-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, yaml, strlen(yaml)), (ssize_t)strlen(yaml));
    close(fd);
    setenv("FERRY_TEST_SECRET", DOORS_SECRET, 1);
    struct ferry_config *config = NULL;
    struct ferry_findings findings;
    struct ferry_error error = {0};
    enum ferry_code code =
        ferry_config_load(path, FERRY_SECTION_KAFKA | FERRY_SECTION_BRIDGE, &config, &findings, &error);
    unlink(path);
    for (size_t i = 0; code != FERRY_OK && i < findings.count; i++)
        print_error("%d: %s\n", findings.items[i].place.line, findings.items[i].text);
    assert_int_equal(code, FERRY_OK);
    return config;
}

static inline struct ferry_snapshot *doors_open(const char *yaml)
{
    struct ferry_snapshot *snapshot = NULL;
    struct ferry_error error = {0};
    enum ferry_code code = ferry_snapshot_new(doors_config(yaml), true, NULL, &snapshot, &error);
    if (code != FERRY_OK)
        print_error("%s\n", error.text);
    assert_int_equal(code, FERRY_OK);
    return snapshot;
}

/* The hex of a body's signature of scheme qlik; static. */
static inline const char *doors_sign(struct ferry_slice body)
{
    static char hex[80];
    char secret[] = DOORS_SECRET;
    struct ferry_secret key = {secret, strlen(secret)};
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer line;
    ferry_buffer_init(&line, 1024);
    assert_int_equal(ferry_signature_make(FERRY_SIGNATURE_QLIK, &key, body, 0, "", &line, NULL), FERRY_OK);
    assert_int_equal(sscanf(line.ptr, "%*[^:]: %79s", hex), 1);
    return hex;
}

#endif
