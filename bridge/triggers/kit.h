/* The kit: /triggers/NAME/kit, a page that makes what callers need: a bookmarklet, a favourite, a button, a fetch, a
 * curl line, a load script, settings for IFTTT, and a file of bookmarks to hand out. Each has a key of its own
 * (core/derived_key), so that each can be ended alone.
 *
 * A configured key opens it, shown as for a call but never in the path: it stays out of histories. Nothing is stored
 * and nothing starts here; to ask twice for the same label gives the same keys.
 *
 *   kit          the form's fields, which triggers the shown keys open, the answer
 *   kit_snippet  the table of what the kit makes, and the file of bookmarks
 *   kit_page     the page */
#ifndef FERRY_BRIDGE_TRIGGERS_KIT_H
#define FERRY_BRIDGE_TRIGGERS_KIT_H

#include "bridge/triggers/trigger.h"

/* Answers a request for the kit whose configured key was found right (`call->key`, and no label). Fields come from the
 * query of a GET, or from the form of a POST:
 *
 *   label         what the keys are called after: LABEL.curl, LABEL.button, …; without it the page has only the form
 *   page, text    the inputs that take the address of the page at hand, and what is selected there
 *   trigger       one for each trigger that is to be in the file of bookmarks; those that the shown key opens
 *   keys          keys of further triggers for that file, one a line; in a form only, never in the query
 *   as            `bookmarks`: the answer is that file, else the page
 *
 * FERRY_MEDIA_TYPE for another form, FERRY_INPUT_REFUSED for a field that cannot be read, FERRY_MEMORY. What
 * is wrong in the form otherwise is said on the page (400); whoever guesses `keys` is made to wait there. */
FERRY_NODISCARD enum ferry_code ferry_kit_answer(struct ferry_trigger_call *call, struct ferry_response *answer,
                                                 struct ferry_error *error);

#endif
