#include "ferry/demo/show.h"

#include <stdlib.h>
#include <unistd.h>

#define RED "\033[31m"
#define GREEN "\033[32m"
#define DIM "\033[2m"
#define BOLD "\033[1m"
#define PLAIN "\033[0m"

void ferry_show_init(struct ferry_show *show, FILE *out)
{
    const char *no_colour = getenv("NO_COLOR");
    *show = (struct ferry_show){out, isatty(fileno(out)) && (no_colour == NULL || no_colour[0] == '\0')};
}

static const char *paint(const struct ferry_show *show, const char *colour)
{
    return show->colour ? colour : "";
}

void ferry_show_title(const struct ferry_show *show, const char *text)
{
    fprintf(show->out, "\n%s%s%s\n", paint(show, BOLD), text, paint(show, PLAIN));
    fflush(show->out);
}

void ferry_show_headings(const struct ferry_show *show)
{
    fprintf(show->out, "\n%s%-12s  %-11s  %4s  %-24s  %7s  %s%s\n", paint(show, DIM), "event", "form", "HTTP",
            "topic/partition/offset", "ms", "effect", paint(show, PLAIN));
}

static const char *or_blank(const char *text)
{
    return text != NULL ? text : "";
}

void ferry_show_row(const struct ferry_show *show, const struct ferry_show_row *row)
{
    char status[16] = "", milliseconds[32] = "";
    if (row->status != 0)
        snprintf(status, sizeof status, "%d", row->status);
    if (row->milliseconds > 0)
        snprintf(milliseconds, sizeof milliseconds, "%.0f", row->milliseconds);
    const char *colour = row->bad ? RED : row->status >= 200 && row->status < 300 ? GREEN : "";
    fprintf(show->out, "%-12s  %-11s  %s%4s%s  %-24s  %7s  %s%s%s%s%s\n", or_blank(row->event), or_blank(row->form),
            paint(show, colour), status, paint(show, PLAIN), or_blank(row->record), milliseconds, or_blank(row->place),
            row->place != NULL ? ": " : "", paint(show, row->bad ? RED : ""), or_blank(row->text), paint(show, PLAIN));
    fflush(show->out);
}
