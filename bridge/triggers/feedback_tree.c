/* JSON as people read it: nested <details>, without a script. An output is somebody else's text: every byte of it is
 * escaped, and its depth and size are bounded, for a browser gives up on both. */
#include "bridge/triggers/feedback_inside.h"
#include "core/json.h"

enum {
    DEPTH_MAX = 40,  /* what is deeper stands as it came */
    DEPTH_OPEN = 3,  /* so deep it is open at first … */
    COUNT_OPEN = 50, /* … unless it has more members */
    WORST = 6        /* bytes of HTML for one of text */
};

struct tree {
    struct ferry_buffer *out;
    size_t end; /* of `out` */
    bool cut;
};

/* As much of it as there is room for, not cut within a character. */
static void add_escaped(struct tree *tree, struct ferry_slice text)
{
    size_t room = tree->out->len < tree->end ? (tree->end - tree->out->len) / WORST : 0;
    if (text.len > room) {
        tree->cut = true;
        text.len = room;
        while (text.len > 0 && ((unsigned char)text.ptr[text.len] & 0xC0) == 0x80)
            text.len--;
    }
    ferry_html_add(tree->out, text);
}

static bool is_full(struct tree *tree)
{
    enum { MARKUP = 256 };
    if (tree->out->len + MARKUP > tree->end)
        tree->cut = true;
    return tree->cut;
}

static void add_label(struct tree *tree, const struct ferry_json_member *member, struct ferry_arena *arena)
{
    struct ferry_slice name;
    if (member == NULL || member->name.ptr == NULL)
        return;
    if (ferry_json_member_name(member, arena, &name, NULL) != FERRY_OK)
        name = member->name;
    ferry_buffer_add_text(tree->out, "<b>");
    add_escaped(tree, name);
    ferry_buffer_add_text(tree->out, "</b>: ");
}

static void add_scalar(struct tree *tree, struct ferry_json value, struct ferry_arena *arena)
{
    struct ferry_slice text = value.text;
    bool is_text = value.type == FERRY_JSON_STRING && ferry_json_unescape(value, arena, &text, NULL) == FERRY_OK;
    ferry_buffer_add_text(tree->out, is_text ? "<code>\"" : "<code>");
    add_escaped(tree, text);
    ferry_buffer_add_text(tree->out, is_text ? "\"</code>" : "</code>");
}

static bool is_nested(struct ferry_json value)
{
    return value.type == FERRY_JSON_OBJECT || value.type == FERRY_JSON_ARRAY;
}

/* NOLINTNEXTLINE(misc-no-recursion): the depth is bounded */
static void add_value(struct tree *tree, const struct ferry_json_member *member, struct ferry_json value, int depth)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    struct ferry_json_parts parts = {0};
    bool opens = is_nested(value) && depth < DEPTH_MAX && ferry_json_open(value, &arena, &parts, NULL) == FERRY_OK;
    if (is_full(tree))
        return;
    if (!opens || parts.count == 0) {
        ferry_buffer_add_text(tree->out, "<div>");
        add_label(tree, member, &arena);
        add_scalar(tree, value, &arena);
        ferry_buffer_add_text(tree->out, "</div>\n");
        return;
    }
    bool is_object = value.type == FERRY_JSON_OBJECT;
    ferry_buffer_printf(tree->out, "<details%s><summary>",
                        depth < DEPTH_OPEN && parts.count <= COUNT_OPEN ? " open" : "");
    add_label(tree, member, &arena);
    ferry_buffer_printf(tree->out, "<span class=\"soft\">%c%zu%c</span></summary>\n", is_object ? '{' : '[',
                        parts.count, is_object ? '}' : ']');
    for (size_t i = 0; i < parts.count && !is_full(tree); i++)
        add_value(tree, &parts.items[i], parts.items[i].value, depth + 1);
    ferry_buffer_add_text(tree->out, "</details>\n");
}

bool ferry_feedback_tree(struct ferry_slice json, size_t max_bytes, struct ferry_buffer *out)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    struct ferry_json value;
    size_t begin = out->len;
    if (ferry_json_scan(json, &arena, &value, NULL, NULL) != FERRY_OK || !is_nested(value))
        return ferry_feedback_text(json, max_bytes, out);
    struct tree tree = {.out = out, .end = begin + max_bytes};
    add_value(&tree, NULL, value, 0);
    if (!tree.cut)
        return true;
    if (out->ptr != NULL && !out->failed) {
        out->len = begin; /* half a tree is worse than none */
        out->ptr[begin] = '\0';
    }
    return ferry_feedback_text(json, max_bytes, out);
}

bool ferry_feedback_text(struct ferry_slice text, size_t max_bytes, struct ferry_buffer *out)
{
    struct tree tree = {.out = out, .end = out->len + max_bytes};
    ferry_buffer_add_text(out,
                          "<pre tabindex=\"0\">\n"); /* a line feed that begins the text is not lost behind this one */
    if (text.len * WORST <= max_bytes)
        ferry_html_add(out, text);
    else
        add_escaped(&tree, text);
    ferry_buffer_add_text(out, "</pre>\n");
    return !tree.cut;
}
