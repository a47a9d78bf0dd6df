#include "bridge/problem.h"

/* What is said of a status. A NULL detail: the error's own words. */
static const struct {
    int status;
    const char *title;
    const char *detail;
} problems[] = {
    {400, "Bad Request", NULL},
    {401, "Unauthorized", "The request is not signed, or does not carry the headers, that this address asks for."},
    {403, "Forbidden", "This address does not take events of that type or tenant."},
    {404, "Not Found", "There is no such address here."},
    {405, "Method Not Allowed", "This address takes the methods that the Allow header names."},
    {408, "Request Timeout", "The request did not arrive in time."},
    {413, "Content Too Large", NULL},
    {415, "Unsupported Media Type", NULL},
    {429, "Too Many Requests", "Over the rate of this address; Retry-After says when to try again."},
    {431, "Request Header Fields Too Large", "The header section is larger than this server takes."},
    {500, "Internal Server Error", "The request could not be carried out."},
    {503, "Service Unavailable",
     "Not everything is safe yet; send the whole request again. Events that did arrive keep their source and id."},
};

/* What triggers say, where the status alone would say what is true of webhooks. */
static const struct {
    enum ferry_code code;
    const char *detail;
} details[] = {
    {FERRY_KEY_MISSING, "A key is asked for here: as the password, as a bearer token, or in X-Ferry-Key."},
    {FERRY_KEY_WRONG, "The key is wrong, or ends here."},
    {FERRY_KEY_BLOCKED, "Too many wrong keys; Retry-After says when to try again."},
    {FERRY_PREVIEW, "Nothing was started: a preview or prefetch of this address starts nothing."},
    {FERRY_CROSS_SITE, "Nothing was started: the page that the call comes from may not make it."},
};

enum { PROBLEMS = sizeof problems / sizeof problems[0] };

static size_t row_of(int status)
{
    size_t row = 0;
    while (row < PROBLEMS - 1 && problems[row].status != status)
        row++;
    return row; /* the last one for a status that is not listed */
}

const char *ferry_problem_title(int status)
{
    return problems[row_of(status)].title;
}

static const char *detail_of(enum ferry_code code)
{
    for (size_t i = 0; i < sizeof details / sizeof details[0]; i++) {
        if (details[i].code == code)
            return details[i].detail;
    }
    return problems[row_of(ferry_code_status(code))].detail;
}

void ferry_problem_print(enum ferry_code code, const char *said, struct ferry_buffer *out)
{
    int status = ferry_code_status(code);
    size_t row = row_of(status);
    const char *own = detail_of(code), *detail = own != NULL ? own : said;
    ferry_buffer_add_text(out, "{\"type\":\"about:blank\",\"title\":");
    ferry_buffer_add_json_string(out, ferry_slice_from(problems[row].title));
    ferry_buffer_printf(out, ",\"status\":%d,\"detail\":", status);
    ferry_buffer_add_json_string(out,
                                 ferry_slice_from(detail != NULL && detail[0] != '\0' ? detail : problems[row].title));
    ferry_buffer_add_text(out, "}\n");
}
