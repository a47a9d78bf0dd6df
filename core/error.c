#include "core/error.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

static const struct {
    const char *name;
    int status;
    enum ferry_retry retry;
} codes[] = {
#define ROW(code, name, status, retry) [FERRY_##code] = {name, status, FERRY_RETRY_##retry},
    FERRY_CODES(ROW)
#undef ROW
};

enum ferry_code ferry_fail(struct ferry_error *error, enum ferry_code code, const char *format, ...)
{
    if (error == NULL)
        return code;
    va_list args;
    va_start(args, format);
    error->code = code;
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    return code;
}

const char *ferry_code_name(enum ferry_code code)
{
    assert(code < FERRY_CODE_COUNT);
    return codes[code].name;
}

int ferry_code_status(enum ferry_code code)
{
    assert(code < FERRY_CODE_COUNT);
    return codes[code].status;
}

enum ferry_retry ferry_code_retry(enum ferry_code code)
{
    assert(code < FERRY_CODE_COUNT);
    return codes[code].retry;
}
