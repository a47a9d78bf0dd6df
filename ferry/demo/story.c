/* A scene is an event and the effects that it must have. It is played in each form with names of its own, so that an
 * effect can be told to be that of this very event:
 *
 *   example ─POST─▶ answer ─▶ wait for { the record with this id, each effect that carries this name } ─▶ rows
 *
 * An effect that no scene waits for, a text with "null" in it, a dead letter, or a wait that is too long is a failure;
 * the first is kept for the end, the rest of the story is played all the same. */
#include "ferry/demo/story.h"

#include <ctype.h>
#include <stdlib.h>

#include "core/clock.h"
#include "ferry/demo/sighting.h"
#include "ferry/examples.h"

enum { SCENE_EFFECTS = 2, NAME_BYTES = 128, BODY_BYTES = 64 * 1024, PATIENCE_MS = 10000, POLL_MS = 5 };

/* `%` in a text stands for the form. */
static const struct scene {
    const char *event;
    const char *type;
    const char *id;
    const char *resource;
    const char *set; /* or NULL */
    struct effect {
        enum ferry_place_reached place;
        const char *sign; /* by which it is known; NULL: no effect */
    } effects[SCENE_EFFECTS];
} scenes[] = {
    {"app.created",
     "com.qlik.app.created",
     "demo-app-created-%",
     "app-%",
     "resource.name=Sales %",
     {{FERRY_REACHED_SLACK, "Sales %"}}},
    {"user.created",
     "com.qlik.v1.user.created",
     "demo-user-created-%",
     "user-%",
     "resource.email=ada.%@example.com",
     {{FERRY_REACHED_MAIL, "ada.%@example.com"}}},
    {"user.deleted",
     "com.qlik.v1.user.deleted",
     "demo-user-deleted-%",
     "user-%",
     NULL,
     {{FERRY_REACHED_AUTOMATION, "user-%"}, {FERRY_REACHED_CRM, "/users/user-%"}}},
};

/* One performance of a scene. */
struct act {
    struct ferry_story *story;
    const struct scene *scene;
    const char *form;
    const char *id; /* of the event */
    struct ferry_sent sent;
    struct ferry_sighting sighting; /* `record` empty: not seen yet */
    struct awaited {
        enum ferry_place_reached place;
        char sign[NAME_BYTES];
        const struct ferry_arrival *arrival;
    } awaited[SCENE_EFFECTS];
    size_t awaited_count;
};

static void note_failure(struct ferry_story *story, const char *text)
{
    if (story->failures++ == 0)
        snprintf(story->failure, sizeof story->failure, "%s", text);
    ferry_show_row(story->show, &(struct ferry_show_row){.text = text, .bad = true});
}

/* printf-like. */
#define fail(story, ...)                              \
    do {                                              \
        struct ferry_error why_;                      \
        ferry_fail(&why_, FERRY_SYSTEM, __VA_ARGS__); \
        note_failure(story, why_.text);               \
    } while (0)

bool ferry_story_has_null(const char *text)
{
    for (const char *at = text; (at = strstr(at, "null")) != NULL; at++)
        if ((at == text || !isalnum((unsigned char)at[-1])) && !isalnum((unsigned char)at[4]))
            return true;
    return false;
}

/* ---- what comes in ---- */

static void fill(char out[NAME_BYTES], const char *text, const char *form)
{
    size_t before = strcspn(text, "%");
    snprintf(out, NAME_BYTES, "%.*s%s%s", (int)before, text, text[before] == '%' ? form : "",
             text[before] == '%' ? text + before + 1 : "");
}

static bool matches(const struct awaited *awaited, const struct ferry_arrival *arrival)
{
    return awaited->place == arrival->place && awaited->arrival == NULL &&
           (strstr(arrival->text, awaited->sign) != NULL || strstr(arrival->raw, awaited->sign) != NULL);
}

/* `act` NULL: between the acts, when nothing is awaited. */
static void judge(struct ferry_story *story, struct act *act, const struct ferry_arrival *arrival)
{
    const char *place = ferry_reached_name(arrival->place);
    struct awaited *awaited = NULL;
    for (size_t i = 0; act != NULL && i < act->awaited_count && awaited == NULL; i++)
        if (matches(&act->awaited[i], arrival))
            awaited = &act->awaited[i];
    if (!arrival->accepted)
        fail(story, "%s %s", place, arrival->text);
    else if (ferry_story_has_null(arrival->text) || ferry_story_has_null(arrival->raw))
        fail(story, "%s was sent null: %s", place, arrival->text);
    else if (awaited == NULL)
        fail(story, "%s was sent what nobody waits for: %s", place, arrival->text);
    if (awaited != NULL)
        awaited->arrival = arrival;
}

static void take_arrivals(struct ferry_story *story, struct act *act)
{
    const struct ferry_arrival *arrival;
    while ((arrival = ferry_inbox_wait(story->inbox, story->arrivals, 0)) != NULL) {
        story->arrivals++;
        judge(story, act, arrival);
    }
}

static void take_records(struct ferry_story *story, struct act *act)
{
    struct ferry_sighting sighting;
    while (ferry_sighting_next(story->reader, POLL_MS, &sighting)) {
        if (sighting.trouble[0] != '\0')
            fail(story, "%s %s", sighting.record, sighting.trouble);
        else if (strcmp(sighting.id, act->id) == 0)
            act->sighting = sighting;
        else
            fail(story, "%s holds an event that was not to be there: %s", sighting.record, sighting.id);
    }
}

static bool complete(const struct act *act)
{
    bool all = act->sighting.record[0] != '\0';
    for (size_t i = 0; i < act->awaited_count; i++)
        all &= act->awaited[i].arrival != NULL;
    return all;
}

/* Until the record and all effects are there. */
static void wait_for(struct act *act)
{
    struct ferry_story *story = act->story;
    int64_t until = ferry_clock_mono_ms() + PATIENCE_MS;
    size_t failures = story->failures;
    while (!complete(act) && ferry_clock_mono_ms() < until && failures == story->failures &&
           story->go_on(story->context)) {
        take_records(story, act);
        take_arrivals(story, act);
    }
    if (failures != story->failures || !story->go_on(story->context))
        return;
    if (act->sighting.record[0] == '\0')
        fail(story, "%s (%s) did not reach Kafka in %d s", act->scene->event, act->form, PATIENCE_MS / 1000);
    for (size_t i = 0; i < act->awaited_count; i++)
        if (act->awaited[i].arrival == NULL)
            fail(story, "%s (%s) had no effect at %s in %d s", act->scene->event, act->form,
                 ferry_reached_name(act->awaited[i].place), PATIENCE_MS / 1000);
}

/* ---- acts ---- */

static void print_rows(struct act *act)
{
    struct ferry_story *story = act->story;
    struct ferry_show_row row = {
        .event = act->scene->event, .form = act->form, .status = act->sent.status, .record = act->sighting.record};
    for (size_t i = 0; i < act->awaited_count; i++) {
        const struct ferry_arrival *arrival = act->awaited[i].arrival;
        if (arrival == NULL)
            continue;
        row.milliseconds = (double)(arrival->mono_ms - act->sent.began_ms);
        row.place = ferry_reached_name(arrival->place);
        row.text = arrival->text;
        if (story->effects < FERRY_STORY_EFFECTS)
            story->milliseconds[story->effects++] = row.milliseconds;
        ferry_show_row(story->show, &row);
        row = (struct ferry_show_row){0};
    }
}

/* Makes the scene's event in that form into `body`, and its id. */
static bool make_body(struct ferry_story *story, const struct scene *scene, enum ferry_format format,
                      struct ferry_buffer *body, char id[NAME_BYTES])
{
    const char *form = ferry_format_name(format);
    char resource[NAME_BYTES], text[NAME_BYTES];
    const char *const sets[] = {text};
    fill(id, scene->id, form);
    fill(resource, scene->resource, form);
    fill(text, scene->set != NULL ? scene->set : "", form);
    struct ferry_example example = {.type = scene->type,
                                    .format = format,
                                    .now_ms = ferry_clock_wall_ms(),
                                    .id = id,
                                    .resource = resource,
                                    .sets = sets,
                                    .set_count = scene->set != NULL};
    struct ferry_error error;
    if (ferry_example_make(&example, body, &error) == FERRY_OK)
        return true;
    fail(story, "no example of %s: %s", scene->event, error.text);
    return false;
}

static bool post(struct act *act, struct ferry_slice body, bool forged, int expected)
{
    struct ferry_error error;
    if (ferry_sender_post(act->story->sender, body, forged, &act->sent, &error) != FERRY_OK) {
        fail(act->story, "cannot send: %s", error.text);
        return false;
    }
    bool as_expected = act->sent.status == expected;
    if (!as_expected)
        fail(act->story, "%s (%s) was answered %d instead of %d: %s", act->scene->event, act->form, act->sent.status,
             expected, ferry_buffer_slice(&act->sent.body).ptr);
    act->story->events += as_expected && expected < 300;
    ferry_sent_done(&act->sent);
    return as_expected;
}

static void await_effects(struct act *act)
{
    for (size_t i = 0; i < SCENE_EFFECTS && act->scene->effects[i].sign != NULL; i++) {
        struct awaited *awaited = &act->awaited[act->awaited_count++];
        awaited->place = act->scene->effects[i].place;
        fill(awaited->sign, act->scene->effects[i].sign, act->form);
    }
}

static void perform(struct ferry_story *story, const struct scene *scene, enum ferry_format format)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer body;
    ferry_buffer_init(&body, BODY_BYTES);
    char id[NAME_BYTES] = "";
    struct act act = {.story = story, .scene = scene, .form = ferry_format_name(format), .id = id};
    await_effects(&act);
    if (!make_body(story, scene, format, &body, id) || !post(&act, ferry_buffer_slice(&body), false, 204))
        return;
    wait_for(&act);
    print_rows(&act);
}

/* An event with another's signature must be refused. That it is not in Kafka either shows in the next act: its record
 * would be there before. */
static void perform_forged(struct ferry_story *story)
{
    const struct scene forged = {"app.created", "com.qlik.app.created", "demo-forged", "app-forged", NULL, {{0}}};
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer body;
    ferry_buffer_init(&body, BODY_BYTES);
    char id[NAME_BYTES] = "";
    struct act act = {.story = story, .scene = &forged, .form = "cloudevents", .id = id};
    if (!make_body(story, &forged, FERRY_FORMAT_CLOUDEVENTS, &body, id) ||
        !post(&act, ferry_buffer_slice(&body), true, 401))
        return;
    ferry_show_row(story->show, &(struct ferry_show_row){.event = forged.event,
                                                         .form = act.form,
                                                         .status = 401,
                                                         .text = "forged signature: refused, nothing in Kafka"});
}

/* Sum of ferry_effects_total{…outcome="duplicate"…}; -1 when the worker does not say. */
static double duplicates(struct ferry_story *story)
{
    struct ferry_sent page;
    if (ferry_sender_get(story->sender->client, story->slack_metrics, &page, NULL) != FERRY_OK)
        return -1;
    double sum = 0;
    char *rest = NULL;
    char *text = ferry_buffer_take(&page.body);
    for (char *line = text != NULL ? strtok_r(text, "\n", &rest) : NULL; line != NULL;
         line = strtok_r(NULL, "\n", &rest))
        if (strncmp(line, "ferry_effects_total{", 20) == 0 && strstr(line, "outcome=\"duplicate\"") != NULL)
            sum += strtod(strrchr(line, ' '), NULL);
    free(text);
    return page.status == 200 ? sum : -1;
}

/* The first scene's last event once more: a second record, but no second effect. The worker's own count tells when it
 * has dealt with it. */
static void perform_again(struct ferry_story *story)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer body;
    ferry_buffer_init(&body, BODY_BYTES);
    char id[NAME_BYTES] = "";
    struct act act = {.story = story, .scene = &scenes[0], .form = "cloudevents", .id = id};
    double before = duplicates(story);
    if (!make_body(story, &scenes[0], FERRY_FORMAT_CLOUDEVENTS, &body, id) ||
        !post(&act, ferry_buffer_slice(&body), false, 204))
        return;
    size_t failures = story->failures;
    wait_for(&act);
    int64_t until = ferry_clock_mono_ms() + PATIENCE_MS;
    bool seen = false;
    while (!seen && failures == story->failures && ferry_clock_mono_ms() < until && story->go_on(story->context)) {
        take_records(story, &act);
        take_arrivals(story, &act);
        seen = duplicates(story) > before;
    }
    take_arrivals(story, &act);
    if (failures == story->failures && !seen && story->go_on(story->context))
        fail(story, "%s was sent twice, and ferry-slack did not say in %d s that it knew it", act.scene->event,
             PATIENCE_MS / 1000);
    if (failures == story->failures)
        ferry_show_row(story->show, &(struct ferry_show_row){.event = act.scene->event,
                                                             .form = act.form,
                                                             .status = 204,
                                                             .record = act.sighting.record,
                                                             .text = "sent again: known, no second effect"});
}

void ferry_story_play(struct ferry_story *story)
{
    static const enum ferry_format forms[] = {FERRY_FORMAT_LEGACY, FERRY_FORMAT_HYBRID, FERRY_FORMAT_CLOUDEVENTS};
    ferry_show_headings(story->show);
    for (size_t s = 0; s < sizeof scenes / sizeof scenes[0]; s++)
        for (size_t f = 0; f < sizeof forms / sizeof forms[0] && story->go_on(story->context); f++)
            perform(story, &scenes[s], forms[f]);
    if (story->go_on(story->context))
        perform_forged(story);
    if (story->go_on(story->context))
        perform_again(story);
}

/* ---- afterwards ---- */

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

void ferry_story_summary(struct ferry_story *story, char *out, size_t bytes)
{
    int len = snprintf(out, bytes, "%zu events, %zu effects", story->events, story->effects);
    if (story->effects == 0 || len < 0 || (size_t)len >= bytes)
        return;
    qsort(story->milliseconds, story->effects, sizeof story->milliseconds[0], by_size);
    snprintf(out + len, bytes - (size_t)len, "; from POST to effect: p50 %.0f ms, slowest %.0f ms",
             story->milliseconds[(story->effects - 1) / 2], story->milliseconds[story->effects - 1]);
}

void ferry_story_follow(struct ferry_story *story, int timeout_ms)
{
    struct ferry_sighting sighting;
    while (ferry_sighting_next(story->reader, timeout_ms, &sighting)) {
        ferry_show_row(story->show, &(struct ferry_show_row){.event = sighting.event,
                                                             .form = sighting.format,
                                                             .record = sighting.record,
                                                             .text = sighting.trouble,
                                                             .bad = sighting.trouble[0] != '\0'});
        timeout_ms = 0;
    }
    const struct ferry_arrival *arrival;
    while ((arrival = ferry_inbox_wait(story->inbox, story->arrivals, 0)) != NULL) {
        story->arrivals++;
        ferry_show_row(story->show, &(struct ferry_show_row){.place = ferry_reached_name(arrival->place),
                                                             .text = arrival->text,
                                                             .bad = !arrival->accepted});
    }
}
