/* Templates. The input is a template, a line of three dashes, and the JSON that an event would bring.
 *
 * The JSON is what strangers send: it goes through fixed templates, one for each escaper, and no value gets out of its
 * place. The template is what an operator writes: it is split and compiled, but not run, since jq can loop for ever. */
#include <stdint.h>
#include <stdlib.h>

#include "core/template.h"
#include "core/utf8.h"

enum { ESCAPES = FERRY_ESCAPE_HEADER + 1, LONGEST_SOURCE = 400 };

static struct ferry_template *by_escape[ESCAPES];
static struct ferry_expression *identity;

/* jq 1.6 forgets some memory of a program that does not parse, and points to its stack by the end, where the checker
 * does not look: compiling does not count as a leak, nor does the stack of a last run over `null`. */
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

static bool has_any(struct ferry_slice text, const char *characters)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '\0' ? characters[0] == '\r' : strchr(characters, text.ptr[i]) != NULL)
            return true;
    return false;
}

/* What may never come out of a hole. "\r\n" stands for NUL as well. */
static void check_rendered(enum ferry_escape escape, const struct ferry_view *view)
{
    static const char *const forbidden[ESCAPES] = {[FERRY_ESCAPE_NONE] = "",
                                                   [FERRY_ESCAPE_HTML] = "<>\"'",
                                                   [FERRY_ESCAPE_URL] = "/?#&=:@ <>\"'\\\n",
                                                   [FERRY_ESCAPE_SLACK] = "<>",
                                                   [FERRY_ESCAPE_HEADER] = "\r\n"};
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    ferry_buffer_init(&out, 1 << 20);
    struct ferry_error error = {.text = ""};
    enum ferry_code code = ferry_template_render(by_escape[escape], view, &out, &error);
    struct ferry_slice text = ferry_buffer_slice(&out);
    require(code == FERRY_OK || code == FERRY_TEMPLATE || code == FERRY_TEMPLATE_NULL || code == FERRY_ADDRESS_INVALID);
    require(code == FERRY_OK ? !has_any(text, forbidden[escape]) : text.len == 0 && error.text[0] != '\0');
    require(escape != FERRY_ESCAPE_URL || (!ferry_slice_is(text, ".") && !ferry_slice_is(text, "..")));
}

/* What jq prints is JSON again, and its own image. */
static void check_printed(const struct ferry_view *view)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer once, twice;
    ferry_buffer_init(&once, 1 << 20);
    ferry_buffer_init(&twice, 1 << 20);
    struct ferry_view *again = NULL;
    if (ferry_expression_json(identity, view, &once, NULL) != FERRY_OK)
        return;
    require(ferry_view_of_json(ferry_buffer_slice(&once), &again, NULL) == FERRY_OK);
    require(ferry_expression_json(identity, again, &twice, NULL) == FERRY_OK);
    require(ferry_slice_equal(ferry_buffer_slice(&once), ferry_buffer_slice(&twice)));
    ferry_view_free(again);
}

static void check_data(struct ferry_slice json)
{
    struct ferry_view *view = NULL;
    struct ferry_error error = {.text = ""};
    enum ferry_code code = ferry_view_of_json(json, &view, &error);
    require(code == FERRY_OK || code == FERRY_JSON_INVALID || code == FERRY_TOO_DEEP);
    if (code != FERRY_OK)
        return;
    for (int escape = 0; escape < ESCAPES; escape++)
        check_rendered((enum ferry_escape)escape, view);
    check_printed(view);
    ferry_view_free(view);
}

static void check_source(struct ferry_slice source)
{
    char text[LONGEST_SOURCE + 1];
    if (source.len > LONGEST_SOURCE || (source.len > 0 && memchr(source.ptr, '\0', source.len) != NULL))
        return;
    memcpy(text, source.len > 0 ? source.ptr : "", source.len);
    text[source.len] = '\0';
    struct ferry_template *compiled = NULL;
    struct ferry_error error = {.text = ""};
    enum ferry_code code = FERRY_OK;
    WITHOUT_LEAK_CHECK(code = ferry_template_new(text, FERRY_ESCAPE_NONE, &compiled, &error));
    require(code == FERRY_OK || (code == FERRY_CONFIG && error.text[0] != '\0'));
    require(code == FERRY_OK || strstr(text, "\\(") != NULL);
    ferry_template_free(compiled);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void start(void)
{
    for (int escape = 0; escape < ESCAPES; escape++)
        require(ferry_template_new("\\(.)", (enum ferry_escape)escape, &by_escape[escape], NULL) == FERRY_OK);
    require(ferry_expression_new(".", &identity, NULL) == FERRY_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (identity == NULL)
        WITHOUT_LEAK_CHECK(start());
    struct ferry_slice text = ferry_slice_of((const char *)bytes, len);
    const char *dashes = len > 0 ? memmem(text.ptr, text.len, "\n---\n", 5) : NULL;
    size_t source_len = dashes != NULL ? (size_t)(dashes - text.ptr) : 0;
    if (dashes != NULL)
        check_source(ferry_slice_of(text.ptr, source_len));
    check_data(dashes != NULL ? ferry_slice_skip(text, source_len + 5) : text);
    WITHOUT_LEAK_CHECK(check_data(FERRY_SLICE("null")));
    return 0;
}
