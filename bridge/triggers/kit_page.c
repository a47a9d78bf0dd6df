#include "bridge/triggers/kit_inside.h"

#include <stdio.h>

#include "bridge/triggers/page.h"

enum { SNIPPET_MAX_BYTES = 32768 };

/* ---- the form ---- */

static void add_label_field(const struct ferry_kit_order *order, struct ferry_buffer *out)
{
    ferry_buffer_printf(out,
                        "<label>Label of the keys: who or what will use them\n<input id=\"label\" name=\"label\" "
                        "required maxlength=\"%d\" pattern=\"[A-Za-z0-9][A-Za-z0-9._\\-]*\" autocomplete=\"off\" "
                        "placeholder=\"ann-phone\" value=\"",
                        (int)FERRY_KIT_LABEL_MAX);
    ferry_html_add(out, order->label);
    ferry_buffer_add_text(out, "\"></label>\n");
}

static void add_input_choice(const struct ferry_kit_order *order, const char *field, const char *title,
                             struct ferry_slice chosen, struct ferry_buffer *out)
{
    const struct ferry_strings *inputs = &order->here.trigger->inputs;
    ferry_buffer_printf(out, "<label>%s\n<select id=\"%s\" name=\"%s\"><option value=\"\">nowhere</option>", title,
                        field, field);
    for (size_t i = 0; i < inputs->count; i++)
        ferry_buffer_printf(out, "<option%s>%s</option>", ferry_slice_is(chosen, inputs->items[i]) ? " selected" : "",
                            inputs->items[i]);
    ferry_buffer_add_text(out, "</select></label>\n");
}

static void add_bookmark_choices(const struct ferry_kit_order *order, struct ferry_buffer *out)
{
    ferry_buffer_add_text(out, "<fieldset><legend>In the file of bookmarks</legend>\n");
    for (size_t i = 0; i < order->choice_count; i++) {
        const struct ferry_kit_choice *choice = &order->choices[i];
        if (choice->listed)
            ferry_buffer_printf(out, "<label><input type=\"checkbox\" name=\"trigger\" value=\"%s\"%s> %s</label>\n",
                                choice->trigger->name, choice->chosen ? " checked" : "", choice->trigger->name);
    }
    ferry_buffer_add_text(out, "<label>Keys of further triggers that are to be in it, one a line\n"
                               "<textarea id=\"keys\" name=\"keys\" rows=\"2\" autocomplete=\"off\" "
                               "spellcheck=\"false\"></textarea></label>\n</fieldset>\n");
}

static void add_form(const struct ferry_kit_order *order, struct ferry_buffer *out)
{
    ferry_buffer_add_text(out, "<form method=\"post\" action=\"kit\">\n");
    add_label_field(order, out);
    if (order->here.trigger->inputs.count > 0) {
        add_input_choice(order, "page", "The address of the page at hand goes into", order->page, out);
        add_input_choice(order, "text", "What is selected on it goes into", order->text, out);
    }
    add_bookmark_choices(order, out);
    ferry_buffer_add_text(out, "<p><button class=\"main\" id=\"make\">Make</button>\n<button id=\"bookmarks\" "
                               "name=\"as\" value=\"bookmarks\">Download bookmarks.html</button></p>\n</form>\n");
}

/* ---- what was made ---- */

static void add_link(const struct ferry_kit_order *order, struct ferry_slice address, struct ferry_buffer *out)
{
    ferry_buffer_add_text(out, "<p><a class=\"button\" href=\"");
    ferry_html_add(out, address);
    ferry_buffer_printf(out, "\">%s</a></p>\n", order->here.trigger->name);
}

static void add_code(const char *id, struct ferry_slice text, struct ferry_buffer *out)
{
    ferry_buffer_printf(out, "<pre id=\"%s-text\" tabindex=\"0\">", id);
    ferry_html_add(out, text);
    ferry_buffer_add_text(out, "</pre>\n");
}

static bool add_snippet(const struct ferry_kit_order *order, const struct ferry_kit_snippet *snippet,
                        struct ferry_buffer *out)
{
    char key[FERRY_DERIVED_KEY_ROOM];
    if (!ferry_kit_make_key(&order->here, order->label, snippet->suffix, key))
        return false;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    ferry_buffer_init(&text, SNIPPET_MAX_BYTES);
    snippet->print(order, key, &text);
    ferry_buffer_printf(out, "<section id=\"%s\">\n<h2>%s</h2>\n<p>%s</p>\n", snippet->suffix, snippet->title,
                        snippet->help);
    if (snippet->is_link)
        add_link(order, ferry_buffer_slice(&text), out);
    add_code(snippet->suffix, ferry_buffer_slice(&text), out);
    ferry_buffer_printf(out, "<p><small>To end it: <code>revoked: [%.*s.%s]</code></small></p>\n</section>\n",
                        FERRY_SLICE_ARGS(order->label), snippet->suffix);
    out->failed |= text.failed;
    return true;
}

/* ---- the page ---- */

bool ferry_kit_print_page(const struct ferry_kit_order *order, struct ferry_buffer *out)
{
    char title[128];
    (void)snprintf(title, sizeof title, "Kit of %s", order->here.trigger->name);
    ferry_page_begin(out, ferry_slice_from(title), NULL);
    ferry_buffer_printf(out,
                        "<h1>%s</h1>\n<p>Ways to call the trigger, each with a key of its own, which opens nothing "
                        "else and can be ended alone. Treat what is made here like a key.</p>\n",
                        title);
    if (order->complaint != NULL)
        ferry_buffer_printf(out, "<p role=\"alert\" class=\"bad\">%s</p>\n", order->complaint);
    add_form(order, out);
    bool made = true;
    for (size_t i = 0; made && order->complaint == NULL && order->label.len > 0 && i < ferry_kit_snippet_count; i++)
        made = add_snippet(order, &ferry_kit_snippets[i], out);
    ferry_page_end(out, NULL);
    return made;
}
