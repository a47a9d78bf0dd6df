/* ferry catalog: the events that Qlik Cloud sends, as a table, as JSON, or one event's data as a JSON Schema. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/program.h"
#include "ferry/cli.h"
#include "ferry/command.h"
#include "ferry/shapes.h"

static const char usage[] = "usage: ferry catalog [--json | --schema EVENT]\n"
                            "\n"
                            "The events that Qlik Cloud sends: family, canonical name, type, source and note.\n"
                            "  --json          as a JSON array\n"
                            "  --schema EVENT  a JSON Schema of the event's data; EVENT is a name or a type\n";

enum { COLUMNS = 5, OUTPUT_BYTES = 1024 * 1024 };
static const char *const column_names[COLUMNS] = {"family", "event", "type", "source", "note"};

static const char *column(const struct ferry_catalog_entry *entry, size_t index)
{
    const char *const values[COLUMNS] = {entry->family, entry->canonical, entry->type, entry->source, entry->note};
    return values[index];
}

static void print_row(const char *const *values, const int *widths, struct ferry_buffer *out)
{
    size_t end = COLUMNS;
    while (end > 0 && values[end - 1][0] == '\0')
        end--; /* no blanks at the end of a line */
    for (size_t i = 0; i < end; i++)
        ferry_buffer_printf(out, "%-*s%s", i + 1 < end ? widths[i] : 0, values[i], i + 1 < end ? "  " : "\n");
}

static void print_table(struct ferry_buffer *out)
{
    size_t count;
    const struct ferry_catalog_entry *entries = ferry_catalog_entries(&count);
    int widths[COLUMNS];
    for (size_t c = 0; c < COLUMNS; c++) {
        widths[c] = (int)strlen(column_names[c]);
        for (size_t i = 0; i < count; i++)
            if ((int)strlen(column(&entries[i], c)) > widths[c])
                widths[c] = (int)strlen(column(&entries[i], c));
    }
    print_row(column_names, widths, out);
    for (size_t i = 0; i < count; i++) {
        const char *values[COLUMNS];
        for (size_t c = 0; c < COLUMNS; c++)
            values[c] = column(&entries[i], c);
        print_row(values, widths, out);
    }
}

static void print_json(struct ferry_buffer *out)
{
    size_t count;
    const struct ferry_catalog_entry *entries = ferry_catalog_entries(&count);
    ferry_buffer_add_text(out, "[\n");
    for (size_t i = 0; i < count; i++) {
        for (size_t c = 0; c < COLUMNS; c++) {
            ferry_buffer_printf(out, "%s\"%s\": ", c == 0 ? "  {" : ", ", column_names[c]);
            ferry_buffer_add_json_string(out, ferry_slice_from(column(&entries[i], c)));
        }
        ferry_buffer_add_text(out, i + 1 < count ? "},\n" : "}\n");
    }
    ferry_buffer_add_text(out, "]\n");
}

static int print_schema(const char *name, struct ferry_buffer *out)
{
    const struct ferry_catalog_entry *entry = ferry_cli_event(name);
    if (entry == NULL)
        return FERRY_EXIT_USAGE;
    struct ferry_error error;
    if (ferry_shape_print_schema(ferry_slice_from(entry->type), out, &error) == FERRY_OK)
        return FERRY_EXIT_DONE;
    fprintf(stderr, "ferry: %s\n", error.text);
    return FERRY_EXIT_FAILED;
}

int ferry_command_catalog(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},
        {"schema", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    ferry_buffer_init(&out, OUTPUT_BYTES);
    int chosen = getopt_long(argc, argv, "", options, NULL);
    const char *event = chosen == 's' ? optarg : NULL;
    if (chosen == 'h') {
        fputs(usage, stdout);
        return FERRY_EXIT_DONE;
    }
    if (chosen == '?')
        return ferry_cli_refuse("catalog", NULL);
    if (optind < argc)
        return ferry_cli_refuse("catalog", "takes one flag at most, and no event without --schema");
    int code = FERRY_EXIT_DONE;
    if (event != NULL)
        code = print_schema(event, &out);
    else if (chosen == 'j')
        print_json(&out);
    else
        print_table(&out);
    fwrite(ferry_buffer_slice(&out).ptr, 1, out.len, stdout);
    return code;
}
