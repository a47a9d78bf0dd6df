/* The page of a run. It is complete at each moment: without a script the browser asks for it again every few seconds,
 * with one it puts the pages that come as server-sent events in the place of the first. There is one renderer, this
 * one, and it escapes everything.
 *
 * The answer to a call is the page itself, at the address that starts the run: so the page at once takes the run's own
 * address, by history.replaceState or by its first refresh, and a reload starts nothing. */
#include "bridge/triggers/feedback_inside.h"

#include <stdio.h>

#include "bridge/triggers/page.h"

enum {
    REFRESH_S = 3,
    OUTPUT_BYTES = 700 * 1024 /* of HTML: a page is to stay below FERRY_RESPONSE_MAX_BYTES */
};

/* The live region stays and gets a new text, which is what screen readers read out; the rest is replaced. */
static const char script[] =
    "(function(){var d=document,r=d.getElementById('run');if(!r)return;var u=r.dataset.url;"
    "try{history.replaceState(null,'',u)}catch(e){}"
    "if(r.dataset.final==='true'||!window.EventSource)return;"
    "var s=new EventSource(u+'/events?view=page');"
    "function put(id,t){var a=d.getElementById(id),b=t.querySelector('#'+id);"
    "if(a&&b&&a.innerHTML!==b.innerHTML){a.innerHTML=b.innerHTML;a.className=b.className}}"
    "s.addEventListener('page',function(e){var t=d.createElement('template');t.innerHTML=e.data;"
    "var n=t.content.querySelector('#run');if(!n)return;"
    "r.dataset.state=n.dataset.state;r.dataset.final=n.dataset.final;"
    "put('run-state',n);put('run-body',n);d.title=n.dataset.title});"
    "s.addEventListener('end',function(){s.close()});"
    "s.onerror=function(){if(s.readyState===2&&r.dataset.final!=='true')"
    "setTimeout(function(){location.replace(u)},5000)}"
    "})();";

/* ---- words ---- */

static const struct {
    const char *word;
    const char *class;
} states[] = {
    [FERRY_RUN_IS_QUEUED] = {"Queued", "wait"},
    [FERRY_RUN_IS_RUNNING] = {"Running", "wait"},
    [FERRY_RUN_HAS_FINISHED] = {"Finished", "good"},
    [FERRY_RUN_HAS_FAILED] = {"Failed", "bad"},
};

static const char *explain(const struct ferry_run *run)
{
    if (run == NULL)
        return "The call was taken. Nothing has been heard of it since; it waits for its turn.";
    if (run->state == FERRY_RUN_IS_QUEUED && run->final)
        return "Qlik has queued the run. How it ends is not looked at from here.";
    if (run->state == FERRY_RUN_IS_QUEUED)
        return "It waits for its turn.";
    return run->state == FERRY_RUN_IS_RUNNING ? "It has begun." : "";
}

/* ---- pieces ---- */

static void add_attribute(struct ferry_buffer *out, const char *name, struct ferry_slice value)
{
    ferry_buffer_printf(out, " %s=\"", name);
    ferry_html_add(out, value);
    ferry_buffer_add_char(out, '"');
}

static void add_term(struct ferry_buffer *out, const char *term, struct ferry_slice value)
{
    if (value.len == 0)
        return;
    ferry_buffer_printf(out, "<dt>%s</dt><dd>", term);
    ferry_html_add(out, value);
    ferry_buffer_add_text(out, "</dd>\n");
}

static void add_error(struct ferry_buffer *out, const struct ferry_run_result *result, bool first)
{
    if (result->error_code.ptr == NULL)
        return;
    ferry_buffer_printf(out, "<p%s class=\"%s\">", first ? " id=\"run-error\"" : "",
                        result->state == FERRY_RUN_HAS_FAILED ? "bad" : "wait");
    ferry_html_add(out, result->error_text.len > 0 ? result->error_text : result->error_code);
    ferry_buffer_add_text(out, " <small>(");
    ferry_html_add(out, result->error_code);
    ferry_buffer_add_text(out, result->final ? ")</small></p>\n" : "; it is not over yet)</small></p>\n");
}

static void add_output(struct ferry_buffer *out, const struct ferry_run_result *result, size_t max_bytes, bool first)
{
    if (result->output.ptr == NULL)
        return;
    bool is_json = ferry_slice_is(result->output_type, "application/json");
    ferry_buffer_printf(out, "<section%s class=\"output\" aria-label=\"Output\">\n<h2>Output</h2>\n",
                        first ? " id=\"run-output\"" : "");
    bool whole = is_json ? ferry_feedback_tree(result->output, max_bytes, out)
                         : ferry_feedback_text(result->output, max_bytes, out);
    if (!whole || result->truncated)
        ferry_buffer_add_text(out, "<p><small>The output is longer; the rest is not shown.</small></p>\n");
    ferry_buffer_add_text(out, "</section>\n");
}

static void add_result(struct ferry_buffer *out, const struct ferry_run *run, size_t i)
{
    const struct ferry_run_result *result = run->results[i];
    char attempts[24] = "";
    if (run->result_count > 1) {
        ferry_buffer_add_text(out, "<h2>");
        ferry_html_add(out, result->route);
        ferry_buffer_printf(out, ": %s</h2>\n", states[result->state].word);
    }
    add_error(out, result, i == 0);
    add_output(out, result, OUTPUT_BYTES / run->result_count, i == 0);
    if (result->attempts > 1)
        snprintf(attempts, sizeof attempts, "%lld", (long long)result->attempts);
    ferry_buffer_add_text(out, "<dl>\n");
    add_term(out, "Route", result->route);
    add_term(out, "Last news", result->at);
    add_term(out, "Run at Qlik", result->run);
    add_term(out, "Attempts", ferry_slice_from(attempts));
    ferry_buffer_add_text(out, "</dl>\n");
}

/* ---- the page ---- */

static void add_title(struct ferry_buffer *out, const struct ferry_trigger_call *call, const struct ferry_run *run)
{
    ferry_buffer_printf(out, "%s: %s", call->trigger->config->name, states[ferry_feedback_state(run)].word);
}

void ferry_feedback_page(const struct ferry_trigger_call *call, const struct ferry_run *run, struct ferry_buffer *out)
{
    enum ferry_run_state state = ferry_feedback_state(run);
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer title;
    ferry_buffer_init(&title, 1024);
    add_title(&title, call, run);
    ferry_buffer_printf(out, "<div id=\"run\" data-state=\"%s\" data-final=\"%s\"", ferry_run_state_name(state),
                        ferry_feedback_is_final(run) ? "true" : "false");
    add_attribute(out, "data-url", ferry_slice_from(ferry_feedback_path(call)));
    add_attribute(out, "data-title", ferry_buffer_slice(&title));
    ferry_buffer_add_text(out, ">\n<h1 id=\"run-title\">");
    ferry_html_add(out, ferry_slice_from(call->trigger->config->name));
    ferry_buffer_printf(out,
                        "</h1>\n<p id=\"run-state\" role=\"status\" aria-live=\"polite\" class=\"%s\">"
                        "<strong>%s</strong> %s</p>\n<div id=\"run-body\">\n",
                        states[state].class, states[state].word, explain(run));
    for (size_t i = 0; run != NULL && i < run->result_count; i++)
        add_result(out, run, i);
    ferry_buffer_add_text(out, "</div>\n<p><small><a id=\"run-link\"");
    add_attribute(out, "href", ferry_slice_from(ferry_feedback_path(call)));
    ferry_buffer_add_text(out, ">Address of this run</a></small></p>\n</div>\n");
}

/* A page at the address of the call leaves it in any case. */
static void add_head(const struct ferry_trigger_call *call, const struct ferry_run *run, struct ferry_buffer *out)
{
    bool leaves = call->path.place == FERRY_TRIGGER_CALL || !ferry_feedback_is_final(run);
    ferry_buffer_add_text(out, "<link rel=\"canonical\"");
    add_attribute(out, "href", ferry_slice_from(call->run_url));
    ferry_buffer_add_text(out, ">\n");
    if (!leaves)
        return;
    ferry_buffer_printf(out, "<noscript><meta http-equiv=\"refresh\" content=\"%d;url=", REFRESH_S);
    ferry_html_add(out, ferry_slice_from(ferry_feedback_path(call)));
    ferry_buffer_add_text(out, "\"></noscript>\n");
}

void ferry_feedback_answer_page(const struct ferry_trigger_call *call, const struct ferry_run *run,
                                struct ferry_response *answer)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer title;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer head;
    ferry_buffer_init(&title, 1024);
    ferry_buffer_init(&head, 16384);
    add_title(&title, call, run);
    add_head(call, run, &head);
    answer->status = 200;
    answer->media_type = FERRY_PAGE_MEDIA_TYPE;
    ferry_page_begin(&answer->body, ferry_buffer_slice(&title), head.failed ? "" : head.ptr);
    ferry_feedback_page(call, run, &answer->body);
    ferry_page_end(&answer->body, script);
    if (head.failed || !ferry_page_add_fields(answer, call->request.arena, script))
        answer->body.failed = true;
}
