/* How the demo looks: one row for each event and each effect, coloured on a terminal only (NO_COLOR turns that off). */
#ifndef FERRY_DEMO_SHOW_H
#define FERRY_DEMO_SHOW_H

#include <stdbool.h>
#include <stdio.h>

struct ferry_show {
    FILE *out;
    bool colour;
};

/* What a row says; what is NULL or 0 stays blank. */
struct ferry_show_row {
    const char *event;
    const char *form;
    int status;
    const char *record; /* topic/partition/offset */
    double milliseconds;
    const char *place; /* "Slack" */
    const char *text;
    bool bad;
};

void ferry_show_init(struct ferry_show *show, FILE *out);
void ferry_show_headings(const struct ferry_show *show);
void ferry_show_row(const struct ferry_show *show, const struct ferry_show_row *row);
/* "\n" and a line in bold. */
void ferry_show_title(const struct ferry_show *show, const char *text);

#endif
