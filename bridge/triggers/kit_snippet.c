/* What the kit makes, one function and one row of the table each. They print plain text; whoever shows it escapes it
 * once more, for HTML. Names of triggers, inputs and labels are letters, digits and . _ -, and so are keys: nothing in
 * a snippet needs a quote but the base address, which the operator wrote, and which is escaped where it stands in a
 * string. */
#include "bridge/triggers/kit_inside.h"

#include <stdio.h>

#include "core/uri.h"

enum { TAKEN_CHARACTERS = 2000, SCRIPT_MAX_BYTES = 8192 };

static bool has_input(const struct ferry_trigger_config *trigger, struct ferry_slice name)
{
    for (size_t i = 0; name.len > 0 && i < trigger->inputs.count; i++) {
        if (ferry_slice_is(name, trigger->inputs.items[i]))
            return true;
    }
    return false;
}

/* BASE/triggers/NAME, and /KEY unless it is NULL. */
static void add_address(struct ferry_buffer *out, const struct ferry_kit_order *order,
                        const struct ferry_trigger_config *trigger, const char *key)
{
    ferry_buffer_add(out, order->base);
    ferry_buffer_printf(out, "/triggers/%s%s%s", trigger->name, key != NULL ? "/" : "", key != NULL ? key : "");
}

/* A string literal for JavaScript, JSON and a shell that gets it in single quotes. */
static void add_address_string(struct ferry_buffer *out, const struct ferry_kit_order *order,
                               const struct ferry_trigger_config *trigger, const char *key, const char *rest)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer address;
    ferry_buffer_init(&address, SCRIPT_MAX_BYTES);
    add_address(&address, order, trigger, key);
    ferry_buffer_add_text(&address, rest);
    ferry_buffer_add_json_string(out, ferry_buffer_slice(&address));
    out->failed |= address.failed;
}

/* ---- in a browser ---- */

/* `?page=` or `&page=`, and what the browser puts there. */
static void add_taken(struct ferry_buffer *out, struct ferry_slice input, const char *expression, char *mark)
{
    if (input.len == 0)
        return;
    ferry_buffer_printf(out, "+\"%c%.*s=\"+encodeURIComponent(%s.slice(0,%d))", *mark, FERRY_SLICE_ARGS(input),
                        expression, TAKEN_CHARACTERS);
    *mark = '&';
}

/* A script as an address: everything is escaped that is not the same in a script, in a URL and in a file of bookmarks.
 */
static void add_script_address(struct ferry_buffer *out, struct ferry_slice script)
{
    ferry_buffer_add_text(out, "javascript:");
    for (size_t i = 0; i < script.len; i++) {
        unsigned char c = (unsigned char)script.ptr[i];
        if (ferry_uri_byte_is_unreserved(c) || (c != '\0' && strchr("()/:,;=+", c) != NULL))
            ferry_buffer_add_char(out, (char)c);
        else
            ferry_buffer_printf(out, "%%%02X", (unsigned)c);
    }
}

/* `noreferrer`: the page at hand neither holds the new window nor is named to us by the browser. `void`: the page at
 * hand stays. */
static void add_bookmarklet(struct ferry_buffer *out, const struct ferry_kit_order *order,
                            const struct ferry_trigger_config *trigger, const char *key)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer script;
    ferry_buffer_init(&script, SCRIPT_MAX_BYTES);
    char mark = '?';
    ferry_buffer_add_text(&script, "void window.open(");
    add_address_string(&script, order, trigger, key, "");
    if (has_input(trigger, order->page))
        add_taken(&script, order->page, "location.href", &mark);
    if (has_input(trigger, order->text))
        add_taken(&script, order->text, "String(getSelection())", &mark);
    ferry_buffer_add_text(&script, ",\"_blank\",\"popup,noreferrer,width=480,height=640\")");
    add_script_address(out, ferry_buffer_slice(&script));
    out->failed |= script.failed;
}

static void print_bookmarklet(const struct ferry_kit_order *order, const char *key, struct ferry_buffer *out)
{
    add_bookmarklet(out, order, order->here.trigger, key);
}

static void print_favourite(const struct ferry_kit_order *order, const char *key, struct ferry_buffer *out)
{
    add_address(out, order, order->here.trigger, key);
}

static void print_button(const struct ferry_kit_order *order, const char *key, struct ferry_buffer *out)
{
    const struct ferry_trigger_config *trigger = order->here.trigger;
    ferry_buffer_add_text(out, "<form method=\"get\" target=\"_blank\" rel=\"noreferrer\" action=\"");
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer address;
    ferry_buffer_init(&address, SCRIPT_MAX_BYTES);
    add_address(&address, order, trigger, key);
    ferry_html_add(out, ferry_buffer_slice(&address));
    ferry_buffer_add_text(out, "\">\n");
    for (size_t i = 0; i < trigger->inputs.count; i++)
        ferry_buffer_printf(out, "  <label>%s <input name=\"%s\"></label>\n", trigger->inputs.items[i],
                            trigger->inputs.items[i]);
    ferry_buffer_printf(out, "  <button>%s</button>\n</form>\n", trigger->name);
    out->failed |= address.failed;
}

static void print_fetch(const struct ferry_kit_order *order, const char *key, struct ferry_buffer *out)
{
    const struct ferry_trigger_config *trigger = order->here.trigger;
    ferry_buffer_add_text(out, "const response = await fetch(");
    add_address_string(out, order, trigger, NULL, "?wait=55s");
    ferry_buffer_printf(out,
                        ", {\n  method: \"POST\",\n  headers: {\n    \"Authorization\": \"Bearer %s\",\n"
                        "    \"Content-Type\": \"application/json\",\n    \"Accept\": \"application/json\"\n  },\n"
                        "  body: JSON.stringify({",
                        key);
    for (size_t i = 0; i < trigger->inputs.count; i++)
        ferry_buffer_printf(out, "%s\"%s\": \"\"", i > 0 ? ", " : "", trigger->inputs.items[i]);
    ferry_buffer_add_text(out, "}),\n  credentials: \"omit\",\n  referrerPolicy: \"no-referrer\"\n});\n"
                               "if (!response.ok) throw new Error(\"not started or failed: \" + response.status);\n"
                               "// 200: the output; 202: it runs on, and this is JSON with the address of its state\n"
                               "const output = await response.text();\n");
}

/* ---- in scripts and services ---- */

/* In single quotes, where only they mean something. */
static void add_shell_string(struct ferry_buffer *out, struct ferry_slice text)
{
    ferry_buffer_add_char(out, '\'');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\'')
            ferry_buffer_add_text(out, "'\\''");
        else
            ferry_buffer_add_char(out, text.ptr[i]);
    }
    ferry_buffer_add_char(out, '\'');
}

static void print_curl(const struct ferry_kit_order *order, const char *key, struct ferry_buffer *out)
{
    const struct ferry_trigger_config *trigger = order->here.trigger;
    ferry_buffer_printf(out, "curl -sS --fail-with-body -X POST -H 'Authorization: Bearer %s'", key);
    for (size_t i = 0; i < trigger->inputs.count; i++)
        ferry_buffer_printf(out, " --data-urlencode '%s='", trigger->inputs.items[i]);
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer address;
    ferry_buffer_init(&address, SCRIPT_MAX_BYTES);
    add_address(&address, order, trigger, NULL);
    ferry_buffer_add_text(&address, "?wait=55s");
    ferry_buffer_add_char(out, ' ');
    add_shell_string(out, ferry_buffer_slice(&address));
    ferry_buffer_add_char(out, '\n');
    out->failed |= address.failed;
}

static void print_load_script(const struct ferry_kit_order *order, const char *key, struct ferry_buffer *out)
{
    const struct ferry_trigger_config *trigger = order->here.trigger;
    ferry_buffer_printf(out,
                        "LIB CONNECT TO 'a REST connection of yours';\n\n[%s]:\nSQL SELECT \"id\", \"state\"\n"
                        "FROM JSON (wrap on) \"root\"\nWITH CONNECTION (\n  URL \"",
                        trigger->name);
    add_address(out, order, trigger, NULL);
    ferry_buffer_printf(out, "\",\n  HTTPHEADER \"X-Ferry-Key\" \"%s\",\n  HTTPHEADER \"Accept\" \"application/json\"",
                        key);
    for (size_t i = 0; i < trigger->inputs.count; i++)
        ferry_buffer_printf(out, ",\n  QUERY \"%s\" \"\"", trigger->inputs.items[i]);
    ferry_buffer_add_text(out, "\n);\n");
}

static void print_ifttt(const struct ferry_kit_order *order, const char *key, struct ferry_buffer *out)
{
    const struct ferry_trigger_config *trigger = order->here.trigger;
    ferry_buffer_add_text(out, "URL:           ");
    add_address(out, order, trigger, key);
    ferry_buffer_add_text(out, "\nMethod:        POST\nContent Type:  application/json\nBody:          {");
    for (size_t i = 0; i < trigger->inputs.count; i++)
        ferry_buffer_printf(out, "%s\"%s\": \"<<<{{Ingredient}}>>>\"", i > 0 ? ", " : "", trigger->inputs.items[i]);
    ferry_buffer_add_text(out, "}\n");
}

const struct ferry_kit_snippet ferry_kit_snippets[] = {
    {"bookmarklet", "Bookmarklet",
     "Drag the link to the bookmarks bar. On any page it opens a small window that starts the trigger and shows what "
     "becomes of it.",
     true, print_bookmarklet},
    {"favourite", "Favourite",
     "The same without a page at hand: for a favourite, a home screen or a wiki. A click starts the trigger, here too.",
     true, print_favourite},
    {"button", "HTML button", "For a page of yours. It opens a window of its own.", false, print_button},
    {"fetch", "fetch, for an extension or mashup",
     "The origin of the page must be among the trigger's <code>cors</code>.", false, print_fetch},
    {"curl", "curl", "Waits for the output, 55 seconds at most.", false, print_curl},
    {"script", "Load script", "For Qlik's REST connector; the connection's own address does not matter.", false,
     print_load_script},
    {"ifttt", "IFTTT", "For the action “Make a web request” of the service Webhooks.", false, print_ifttt},
};
const size_t ferry_kit_snippet_count = sizeof ferry_kit_snippets / sizeof ferry_kit_snippets[0];

bool ferry_kit_make_key(const struct ferry_kit_choice *choice, struct ferry_slice label, const char *suffix,
                        char key[FERRY_DERIVED_KEY_ROOM])
{
    char text[FERRY_DERIVED_LABEL_MAX + 1];
    int len = snprintf(text, sizeof text, "%.*s.%s", FERRY_SLICE_ARGS(label), suffix);
    return len > 0 && (size_t)len < sizeof text &&
           ferry_derived_key_make(ferry_secret_slice(choice->opener->secret), choice->trigger->name,
                                  ferry_slice_of(text, (size_t)len), key);
}

/* ---- the file of bookmarks ---- */

static void add_bookmark(struct ferry_buffer *out, struct ferry_slice address, const char *name, const char *addition)
{
    ferry_buffer_add_text(out, "        <DT><A HREF=\"");
    ferry_html_add(out, address);
    ferry_buffer_printf(out, "\">%s%s</A>\n", name, addition);
}

/* A favourite; and a bookmarklet where it would bring something along. */
static bool add_bookmarks(const struct ferry_kit_order *order, const struct ferry_kit_choice *choice,
                          struct ferry_buffer *out)
{
    char key[FERRY_DERIVED_KEY_ROOM];
    if (!ferry_kit_make_key(choice, order->label, "bookmarks", key))
        return false;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer address;
    ferry_buffer_init(&address, SCRIPT_MAX_BYTES);
    add_address(&address, order, choice->trigger, key);
    add_bookmark(out, ferry_buffer_slice(&address), choice->trigger->name, "");
    if (has_input(choice->trigger, order->page) || has_input(choice->trigger, order->text)) {
        ferry_buffer_clear(&address);
        add_bookmarklet(&address, order, choice->trigger, key);
        add_bookmark(out, ferry_buffer_slice(&address), choice->trigger->name, " with this page");
    }
    out->failed |= address.failed;
    return true;
}

bool ferry_kit_print_bookmarks(const struct ferry_kit_order *order, struct ferry_buffer *out)
{
    ferry_buffer_add_text(out, "<!DOCTYPE NETSCAPE-Bookmark-file-1>\n"
                               "<META HTTP-EQUIV=\"Content-Type\" CONTENT=\"text/html; charset=UTF-8\">\n"
                               "<TITLE>Bookmarks</TITLE>\n<H1>Bookmarks</H1>\n<DL><p>\n    <DT><H3>");
    ferry_html_add(out, order->label);
    ferry_buffer_add_text(out, "</H3>\n    <DL><p>\n");
    for (size_t i = 0; i < order->choice_count; i++) {
        if (order->choices[i].chosen && !add_bookmarks(order, &order->choices[i], out))
            return false;
    }
    ferry_buffer_add_text(out, "    </DL><p>\n</DL><p>\n");
    return true;
}
