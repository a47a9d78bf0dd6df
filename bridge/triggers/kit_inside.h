/* Inside of bridge/triggers/kit*.c. Nobody else includes this. */
#ifndef FERRY_BRIDGE_TRIGGERS_KIT_INSIDE_H
#define FERRY_BRIDGE_TRIGGERS_KIT_INSIDE_H

#include "bridge/triggers/kit.h"
#include "core/derived_key.h"

/* A trigger that a shown key opens. */
struct ferry_kit_choice {
    const struct ferry_trigger_config *trigger;
    const struct ferry_trigger_key *opener;
    bool listed; /* among the check boxes: the key that opened the kit opens it */
    bool chosen; /* for the file of bookmarks */
};

/* What the visitor asked for. */
struct ferry_kit_order {
    struct ferry_kit_choice here; /* the trigger whose kit this is */
    struct ferry_slice base;      /* "https://ferry.example.com": what addresses begin with */
    struct ferry_slice label;     /* "" or valid */
    struct ferry_slice page;      /* the input that takes the page's address; "" for none */
    struct ferry_slice text;      /* the input that takes what is selected; "" for none */
    struct ferry_kit_choice *choices;
    size_t choice_count;
    const char *complaint; /* about the form; NULL: it is fine */
};

/* ---- kit_snippet ---- */

/* One row for each thing that the kit makes. */
struct ferry_kit_snippet {
    const char *suffix; /* of the label of its key */
    const char *title;
    const char *help;
    bool is_link; /* to drag to the bookmarks bar; else text to copy */
    void (*print)(const struct ferry_kit_order *order, const char *key, struct ferry_buffer *out);
};
extern const struct ferry_kit_snippet ferry_kit_snippets[];
extern const size_t ferry_kit_snippet_count;

/* So many characters of a label leave room for every suffix. */
enum { FERRY_KIT_LABEL_MAX = FERRY_DERIVED_LABEL_MAX - (int)sizeof "bookmarklet" };

/* The key of LABEL.SUFFIX. False when OpenSSL fails. */
FERRY_NODISCARD bool ferry_kit_make_key(const struct ferry_kit_choice *choice, struct ferry_slice label,
                                        const char *suffix, char key[FERRY_DERIVED_KEY_ROOM]);

/* Appends the file of bookmarks of all that is chosen, as browsers import it. False when OpenSSL fails. */
FERRY_NODISCARD bool ferry_kit_print_bookmarks(const struct ferry_kit_order *order, struct ferry_buffer *out);

/* ---- kit_page ---- */

/* Appends the page. False when OpenSSL fails. */
FERRY_NODISCARD bool ferry_kit_print_page(const struct ferry_kit_order *order, struct ferry_buffer *out);

#endif
