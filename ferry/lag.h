/* `ferry lag` inside: showing what waits for the workers. */
#ifndef FERRY_LAG_H
#define FERRY_LAG_H

#include <stdio.h>

#include "core/survey/lag.h"

void ferry_lag_print_text(const struct ferry_lag *lag, int64_t now_ms, bool all, FILE *out);
/* One line. */
void ferry_lag_print_json(const struct ferry_lag *lag, int64_t now_ms, FILE *out);

#endif
