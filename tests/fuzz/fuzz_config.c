/* The configuration, as text that anybody may have written: whatever it is, every finding is one line with a place in
 * it, and there is no error without a finding.
 *
 * Files are never opened: sections are resolved only where the text names none. */
#include <stdint.h>
#include <stdlib.h>

#include "core/buffer.h"
#include "core/config.h"

/* jq 1.6 forgets some memory of a program that does not parse. */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#include <sanitizer/lsan_interface.h>
#define WITHOUT_LEAK_CHECK(statement) (__lsan_disable(), (statement), __lsan_enable())
#endif
#endif
#ifndef WITHOUT_LEAK_CHECK
#define WITHOUT_LEAK_CHECK(statement) (statement)
#endif

static void require(bool holds)
{
    if (!holds)
        abort();
}

static int count_lines(struct ferry_slice text)
{
    int lines = 1;
    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n' || text.ptr[i] == '\r' || (unsigned char)text.ptr[i] >= 0x80; /* NEL, LS, PS */
    return lines;
}

static void check_findings(const struct ferry_findings *findings, enum ferry_code code, int lines)
{
    size_t errors = 0;
    for (size_t i = 0; i < findings->count; i++) {
        const struct ferry_finding *finding = &findings->items[i];
        require(finding->place.line >= 1 && finding->place.line <= lines + 1);
        require(finding->text[0] != '\0' && strchr(finding->text, '\n') == NULL);
        require(i == 0 || findings->items[i - 1].place.line <= finding->place.line);
        errors += !finding->warning;
    }
    require(errors == findings->errors);
    require((code == FERRY_OK) == (errors == 0));
}

static void check(struct ferry_slice text, unsigned sections)
{
    struct ferry_config *config = NULL;
    struct ferry_findings findings = {0};
    struct ferry_error error = {.text = ""};
    enum ferry_code code = FERRY_OK;
    WITHOUT_LEAK_CHECK(code = ferry_config_parse("fuzz.yaml", text, sections, &config, &findings, &error));
    require(config != NULL);
    check_findings(&findings, code, count_lines(text));
    ferry_config_free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct ferry_slice text = ferry_slice_of(len > 0 ? (const char *)bytes : "", len);
    bool names_files = memmem(text.ptr, len, "file", 4) != NULL || memmem(text.ptr, len, "secrets", 7) != NULL;
    check(text, 0);
    if (!names_files)
        check(text, FERRY_SECTION_KAFKA | FERRY_SECTION_BRIDGE);
    return 0;
}
