/* Names instead of ids: what Qlik's REST API can add to an event for expressions and templates. `.user.name`,
 * `.user.email`, `.space.name` and `.app.name`, where `lookup` is configured (docs/operations.md, "Names"). */
#ifndef FERRY_CORE_NAMES_H
#define FERRY_CORE_NAMES_H

#include <stdbool.h>

enum ferry_name_kind { FERRY_NAME_USER, FERRY_NAME_SPACE, FERRY_NAME_APP, FERRY_NAMES };

/* The member at the top of the view, and label `kind` in metrics: "user", "space", "app". */
const char *ferry_name_word(enum ferry_name_kind kind);

/* The kinds, as bits 1 << kind, that an expression or a template speaks of: `.user` and so on at the top of the event,
 * or of a variable. Rather one too many (a text in quotes) than one too few. */
unsigned ferry_names_mentioned(const char *source);

#endif
