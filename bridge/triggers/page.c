#include "bridge/triggers/page.h"

#include <openssl/evp.h>

#include "core/base64.h"
#include "core/signature.h"

static const char style[] =
    ":root{color-scheme:light dark;--back:#fff;--text:#1c2127;--soft:#5f6b7a;--line:#d5dae0;--field:#f5f7f9;"
    "--act:#0b6b3a;--bad:#b3261e;--wait:#8a5a00}"
    "@media(prefers-color-scheme:dark){:root{--back:#14181d;--text:#e6e9ed;--soft:#9aa5b1;--line:#343c46;"
    "--field:#1d232a;--act:#5fd394;--bad:#ff8a80;--wait:#f0c063}}"
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--back);color:var(--text);font:1rem/1.5 system-ui,sans-serif}"
    "main{max-width:46rem;margin:0 auto;padding:1rem}"
    "h1{font-size:1.4rem;line-height:1.25;overflow-wrap:anywhere}h2{font-size:1.1rem;margin:2rem 0 .25rem}"
    "p{margin:.5rem 0}a{color:inherit}small,.soft{color:var(--soft)}"
    ".good{color:var(--act)}.bad{color:var(--bad)}.wait{color:var(--wait)}"
    "pre{margin:.5rem 0;padding:.75rem;overflow:auto;max-height:70vh;background:var(--field);border:1px solid "
    "var(--line);border-radius:.4rem;font:.875rem/1.45 ui-monospace,monospace;white-space:pre-wrap;"
    "overflow-wrap:anywhere}"
    "label{display:block;margin:.75rem 0}fieldset{margin:1rem 0;border:1px solid var(--line);border-radius:.4rem}"
    "fieldset label{margin:.25rem 0}"
    "input,select,textarea,button,.button{font:inherit;padding:.5rem .75rem;border:1px solid var(--line);"
    "border-radius:.4rem;background:var(--field);color:inherit;max-width:100%}"
    "input:not([type=checkbox]),select,textarea{display:block;width:100%}"
    "button,.button{display:inline-block;cursor:pointer;min-height:2.75rem;text-decoration:none}"
    "button.main{background:var(--act);border-color:var(--act);color:var(--back)}"
    ":focus-visible{outline:3px solid var(--act);outline-offset:2px}"
    "dl{margin:.5rem 0}dt{color:var(--soft)}dd{margin:0 0 .5rem}summary{cursor:pointer}"
    "details>div,details>details{margin-left:1.25rem}"
    "@media print{main{max-width:none}pre{max-height:none}}";

void ferry_page_begin(struct ferry_buffer *out, struct ferry_slice title, const char *head)
{
    ferry_buffer_add_text(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                               "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                               "<meta name=\"referrer\" content=\"no-referrer\">\n"
                               "<meta name=\"robots\" content=\"noindex\">\n<title>");
    ferry_html_add(out, title);
    ferry_buffer_printf(out, "</title>\n<style>%s</style>\n%s</head>\n<body>\n<main>\n", style,
                        head != NULL ? head : "");
}

void ferry_page_end(struct ferry_buffer *out, const char *script)
{
    ferry_buffer_add_text(out, "</main>\n");
    if (script != NULL)
        ferry_buffer_printf(out, "<script>%s</script>\n", script);
    ferry_buffer_add_text(out, "</body>\n</html>\n");
}

/* ---- the policy ---- */

/* 'sha256-…' of what stands between two tags. */
static void add_hash(struct ferry_buffer *out, const char *text)
{
    unsigned char digest[FERRY_DIGEST];
    if (EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL) != 1) {
        out->failed = true;
        return;
    }
    ferry_buffer_add_text(out, "'sha256-");
    ferry_base64_encode(ferry_slice_of((const char *)digest, sizeof digest), out);
    ferry_buffer_add_char(out, '\'');
}

static const char *make_policy(struct ferry_arena *arena, const char *script)
{
    enum { POLICY_BYTES = 1024 };
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer policy;
    ferry_buffer_init(&policy, POLICY_BYTES);
    ferry_buffer_add_text(&policy, "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
                                   "style-src ");
    add_hash(&policy, style);
    if (script != NULL) {
        ferry_buffer_add_text(&policy, "; connect-src 'self'; script-src ");
        add_hash(&policy, script);
    }
    return policy.failed ? NULL : ferry_arena_text(arena, ferry_buffer_slice(&policy));
}

bool ferry_page_add_fields(struct ferry_response *answer, struct ferry_arena *arena, const char *script)
{
    const char *policy = make_policy(arena, script);
    if (policy == NULL)
        return false;
    ferry_response_add(answer, "Content-Security-Policy", policy);
    ferry_response_add(answer, "X-Frame-Options", "DENY");
    ferry_response_add(answer, "Cross-Origin-Opener-Policy", "same-origin");
    ferry_response_add(answer, "Cross-Origin-Resource-Policy", "same-origin");
    return true;
}
