/* What the console hides: whatever a record says, nothing is read behind its end, and a value in quotes behind a name
 * that tells of a secret is never shown. The input is put around such a pair. */
#include <stdlib.h>

#include "bridge/console/conceal.h"

enum { OUT_MAX_BYTES = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char pair[] = "\"some_token\": \"planted\"";
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text, out;
    ferry_buffer_init(&text, OUT_MAX_BYTES);
    ferry_buffer_init(&out, OUT_MAX_BYTES);
    size_t half = size / 2;
    ferry_buffer_add(&text, ferry_slice_of((const char *)data, half));
    ferry_buffer_add_text(&text, pair);
    ferry_buffer_add(&text, ferry_slice_of((const char *)data + half, size - half));
    ferry_console_conceal(ferry_buffer_slice(&text), &out);
    if (!out.failed && memmem(out.ptr, out.len, pair, strlen(pair)) != NULL)
        abort();
    return 0;
}
