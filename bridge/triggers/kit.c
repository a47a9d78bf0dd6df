#include "bridge/triggers/kit.h"

#include "bridge/triggers/form.h"
#include "bridge/triggers/inside.h"
#include "bridge/triggers/kit_inside.h"
#include "bridge/triggers/page.h"
#include "core/media_type.h"

enum { EXTRA_KEYS = 32, BASE_MAX_BYTES = 512 };

static const char no_label[] = "Give the keys a label of up to 52 letters, digits and . _ - that begins with a letter "
                               "or digit.";
static const char own_label[] = "That is the name of one of the trigger's own keys. Choose another label.";
static const char no_such_input[] = "The trigger has no such input.";
static const char one_input[] = "Page and selection cannot go into the same input.";
static const char wrong_key[] = "One of the further keys opens no trigger, or there are too many.";
static const char too_many_wrong[] = "Too many wrong keys came from your address. Wait a few minutes.";
static const char nothing_chosen[] = "Choose a trigger for the file of bookmarks.";
static const char no_base[] = "The bridge does not know its own address: set bridge.public_url.";

/* ---- addresses ---- */

static bool is_authority(struct ferry_slice host)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && (c == '\0' || strchr("-.:[]", c) == NULL))
            return false;
    }
    return host.len > 0 && host.len <= BASE_MAX_BYTES / 2;
}

/* By public_url; without one by the host that the visitor has in the address bar. Absent when neither will do. */
static struct ferry_slice find_base(const struct ferry_trigger_call *call)
{
    const struct ferry_bridge_config *bridge = &call->request.snapshot->config->bridge;
    struct ferry_slice base = ferry_slice_from(bridge->public_url);
    while (base.len > 0 && base.ptr[base.len - 1] == '/')
        base.len--;
    if (base.len > 0)
        return base;
    struct ferry_slice host = ferry_pairs_get(call->request.in->headers, "Host");
    if (!is_authority(host))
        return (struct ferry_slice){NULL, 0};
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    ferry_buffer_init(&text, BASE_MAX_BYTES);
    ferry_buffer_printf(&text, "http%s://%.*s", bridge->tls.certificate != NULL ? "s" : "", FERRY_SLICE_ARGS(host));
    return ferry_arena_slice(call->request.arena, ferry_buffer_slice(&text));
}

/* ---- which triggers the shown keys open ---- */

/* All keys are compared, also after one has matched. */
static const struct ferry_trigger_key *find_opener(const struct ferry_trigger_config *trigger, struct ferry_slice key)
{
    const struct ferry_trigger_key *found = NULL;
    for (size_t i = 0; i < trigger->key_count; i++) {
        if (key.len > 0 && ferry_equal_constant_time(key, ferry_secret_slice(trigger->keys[i].secret)))
            found = &trigger->keys[i];
    }
    return found;
}

/* Adds what this key opens, unless another key did so already. Does it open any? */
static bool add_choices(const struct ferry_bridge_config *bridge, struct ferry_slice key, bool listed,
                        struct ferry_kit_order *order)
{
    bool opens = false;
    for (size_t i = 0; i < bridge->trigger_count; i++) {
        const struct ferry_trigger_config *trigger = &bridge->triggers[i];
        const struct ferry_trigger_key *opener = find_opener(trigger, key);
        opens |= opener != NULL;
        bool known = false;
        for (size_t k = 0; k < order->choice_count; k++)
            known |= order->choices[k].trigger == trigger;
        if (opener != NULL && !known)
            order->choices[order->choice_count++] = (struct ferry_kit_choice){trigger, opener, listed, !listed};
    }
    return opens;
}

/* One a line. False for a key that opens nothing. */
static bool add_further_keys(const struct ferry_trigger_call *call, struct ferry_slice lines,
                             struct ferry_kit_order *order)
{
    size_t keys = 0;
    bool good = true;
    while (good && lines.len > 0) {
        const char *end = memchr(lines.ptr, '\n', lines.len);
        size_t len = end != NULL ? (size_t)(end - lines.ptr) : lines.len;
        struct ferry_slice key = ferry_slice_of(lines.ptr, len);
        lines = ferry_slice_skip(lines, end != NULL ? len + 1 : len);
        if (key.len > 0 && key.ptr[key.len - 1] == '\r')
            key.len--;
        key = ferry_slice_trim(key);
        if (key.len > 0)
            good = ++keys <= EXTRA_KEYS && add_choices(&call->request.snapshot->config->bridge, key, false, order);
    }
    return good;
}

/* Marks what the check boxes say; without any, the trigger whose kit this is. */
static void choose(struct ferry_pairs fields, struct ferry_kit_order *order)
{
    bool any = ferry_pairs_count(fields, "trigger") > 0;
    for (size_t i = 0; i < order->choice_count; i++) {
        struct ferry_kit_choice *choice = &order->choices[i];
        if (!any)
            choice->chosen |= choice->trigger == order->here.trigger;
        for (size_t k = 0; k < fields.count; k++) {
            if (ferry_slice_is(fields.items[k].name, "trigger") &&
                ferry_slice_is(fields.items[k].value, choice->trigger->name))
                choice->chosen = true;
        }
    }
}

/* ---- the form ---- */

static bool any_chosen(const struct ferry_kit_order *order)
{
    for (size_t i = 0; i < order->choice_count; i++) {
        if (order->choices[i].chosen)
            return true;
    }
    return false;
}

static bool is_label(struct ferry_slice label)
{
    return label.len <= FERRY_KIT_LABEL_MAX && ferry_derived_label_is_valid(label);
}

static bool is_key_name(const struct ferry_trigger_config *trigger, struct ferry_slice label)
{
    for (size_t i = 0; i < trigger->key_count; i++) {
        if (ferry_slice_is(label, trigger->keys[i].name))
            return true;
    }
    return false;
}

/* One of the inputs, or "" for none. */
static bool is_input(const struct ferry_trigger_config *trigger, struct ferry_slice name)
{
    bool good = name.len == 0;
    for (size_t i = 0; !good && i < trigger->inputs.count; i++)
        good = ferry_slice_is(name, trigger->inputs.items[i]);
    return good;
}

static const char *find_complaint(const struct ferry_kit_order *order, struct ferry_pairs fields)
{
    const struct ferry_trigger_config *trigger = order->here.trigger;
    struct ferry_slice label = ferry_pairs_get(fields, "label");
    if (order->base.len == 0)
        return no_base;
    if (label.ptr == NULL)
        return NULL; /* nothing has been asked for yet */
    if (!is_label(label))
        return no_label;
    if (is_key_name(trigger, label))
        return own_label;
    if (!is_input(trigger, ferry_pairs_get(fields, "page")) || !is_input(trigger, ferry_pairs_get(fields, "text")))
        return no_such_input;
    if (order->page.len > 0 && ferry_slice_equal(order->page, order->text))
        return one_input;
    return any_chosen(order) ? NULL : nothing_chosen;
}

/* The query, or the form. */
static enum ferry_code read_fields(const struct ferry_trigger_call *call, struct ferry_pairs *fields,
                                   struct ferry_error *error)
{
    const struct ferry_admit_request *in = call->request.in;
    struct ferry_slice text = call->request.query;
    if (ferry_slice_is(in->method, "POST")) {
        struct ferry_slice type = ferry_media_type_essence(ferry_pairs_get(in->headers, "Content-Type"));
        if (!ferry_slice_is_nocase(type, "application/x-www-form-urlencoded"))
            return ferry_fail(error, FERRY_MEDIA_TYPE, "The kit takes a form, application/x-www-form-urlencoded.");
        text = in->body;
    }
    return ferry_form_read(text, call->request.arena, fields, error);
}

/* Adds what the further keys open. Whoever guesses keys here waits as at the door, but by a count of its own, which no
 * trigger's name has: the right key that opened the kit has just cleared that of its trigger. */
static const char *take_further_keys(const struct ferry_trigger_call *call, struct ferry_slice lines,
                                     struct ferry_kit_order *order)
{
    static const char guesses[] = "/kit";
    const struct ferry_trigger_request *request = &call->request;
    if (lines.len == 0)
        return NULL;
    if (request->has_client &&
        ferry_backoff_wait(call->shared->backoff, &request->client, guesses, request->in->mono_ms) > 0)
        return too_many_wrong;
    if (add_further_keys(call, lines, order))
        return NULL;
    if (request->has_client)
        ferry_backoff_wrong(call->shared->backoff, &request->client, guesses, request->in->mono_ms);
    return wrong_key;
}

static enum ferry_code make_order(const struct ferry_trigger_call *call, struct ferry_pairs fields,
                                  struct ferry_kit_order *order, struct ferry_error *error)
{
    const struct ferry_bridge_config *bridge = &call->request.snapshot->config->bridge;
    struct ferry_kit_choice *choices =
        ferry_arena_new_array(call->request.arena, bridge->trigger_count, sizeof *choices);
    if (choices == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    *order = (struct ferry_kit_order){
        .here = {call->trigger->config, call->key, true, true},
        .base = find_base(call),
        .label = ferry_pairs_get(fields, "label"),
        .page = ferry_pairs_get(fields, "page"),
        .text = ferry_pairs_get(fields, "text"),
        .choices = choices,
    };
    (void)add_choices(bridge, ferry_secret_slice(call->key->secret), true, order);
    /* In the query, which histories and logs keep, there is no place for keys. */
    if (ferry_slice_is(call->request.in->method, "POST"))
        order->complaint = take_further_keys(call, ferry_pairs_get(fields, "keys"), order);
    choose(fields, order);
    if (order->complaint == NULL)
        order->complaint = find_complaint(order, fields);
    return FERRY_OK;
}

/* ---- the answer ---- */

static bool answer_with_bookmarks(const struct ferry_kit_order *order, struct ferry_response *answer)
{
    answer->status = 200;
    answer->media_type = FERRY_PAGE_MEDIA_TYPE;
    ferry_response_add(answer, "Content-Disposition", "attachment; filename=\"bookmarks.html\"");
    ferry_response_add(answer, "Content-Security-Policy", "default-src 'none'; sandbox");
    return ferry_kit_print_bookmarks(order, &answer->body);
}

static bool answer_with_page(const struct ferry_trigger_call *call, const struct ferry_kit_order *order,
                             struct ferry_response *answer)
{
    answer->status = order->complaint != NULL ? 400 : 200;
    answer->media_type = FERRY_PAGE_MEDIA_TYPE;
    return ferry_page_add_fields(answer, call->request.arena, NULL) && ferry_kit_print_page(order, &answer->body);
}

enum ferry_code ferry_kit_answer(struct ferry_trigger_call *call, struct ferry_response *answer,
                                 struct ferry_error *error)
{
    struct ferry_pairs fields = {NULL, 0};
    struct ferry_kit_order order = {.choice_count = 0};
    enum ferry_code code = read_fields(call, &fields, error);
    if (code == FERRY_OK)
        code = make_order(call, fields, &order, error);
    if (code != FERRY_OK)
        return code;
    bool as_file =
        order.complaint == NULL && order.label.len > 0 && ferry_slice_is(ferry_pairs_get(fields, "as"), "bookmarks");
    bool made = as_file ? answer_with_bookmarks(&order, answer) : answer_with_page(call, &order, answer);
    if (made && !answer->body.failed)
        return FERRY_OK;
    ferry_response_done(answer); /* no half of one */
    ferry_response_init(answer);
    return ferry_fail(error, FERRY_MEMORY, "the page could not be made");
}
