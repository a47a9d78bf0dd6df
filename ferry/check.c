/* ferry check: every mistake of the configuration, for all programs at once. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buffer.h"
#include "core/kafka/admin.h"
#include "core/log.h"
#include "core/program.h"
#include "ferry/check_online.h"
#include "ferry/cli.h"
#include "ferry/command.h"
#include "ferry/options.h"

enum { OUTPUT_MAX_BYTES = 4 * 1024 * 1024 };

static const char usage[] =
    "usage: ferry check [-c FILE] [--online] [--only SECTIONS]\n"
    "\n"
    "Reads the configuration of all programs and prints every mistake as FILE:LINE: key: what is wrong, what is "
    "allowed.\n"
    "  -c, --config FILE   the file (default: /etc/ferry/ferry.yaml, then ./ferry.yaml)\n"
    "      --online        then try Kafka and its topics, the SMTP log-in, Slack's tokens, Qlik's tenants\n"
    "      --only SECTIONS resolve the secrets of these alone: bridge,slack,mail,automation\n"
    "      --reference     print docs/configuration.md instead\n"
    "Exit codes: 0 good (warnings are allowed), 1 --online found something, 2 wrong usage, 78 mistakes.\n";

struct request {
    const char *config;
    unsigned sections;
    bool online;
    bool reference;
};

/* "bridge,slack" to bits. */
static const char *take_sections(const char *list, void *target)
{
    static const struct {
        const char *word;
        unsigned section;
    } words[] = {{"bridge", FERRY_SECTION_BRIDGE},
                 {"slack", FERRY_SECTION_SLACK},
                 {"mail", FERRY_SECTION_MAIL},
                 {"automation", FERRY_SECTION_AUTOMATION}};
    unsigned sections = FERRY_SECTION_KAFKA;
    for (size_t len; *list != '\0'; list += len + (list[len] == ',')) {
        len = strcspn(list, ",");
        unsigned section = 0;
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
            if (ferry_slice_is(ferry_slice_of(list, len), words[i].word))
                section = words[i].section;
        if (section == 0)
            return "--only takes bridge, slack, mail and automation, with commas between";
        sections |= section;
    }
    *(unsigned *)target = sections;
    return NULL;
}

/* -1 to go on, or the exit code. */
static int parse(int argc, char **argv, struct request *request)
{
    const struct ferry_option options[] = {
        {"config", 'c', .text = &request->config},
        {"online", .flag = &request->online},
        {"only", .take = take_sections, .target = &request->sections},
        {"reference", .flag = &request->reference},
        {0},
    };
    int code = ferry_options_read(argc, argv, "check", usage, options);
    return code >= 0 || optind == argc ? code : ferry_cli_refuse("check", "takes flags only");
}

static int print_reference(void)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    ferry_buffer_init(&text, OUTPUT_MAX_BYTES);
    ferry_config_print_reference(&text);
    return fwrite(text.ptr, 1, text.len, stdout) == text.len ? FERRY_EXIT_DONE : FERRY_EXIT_FAILED;
}

/* What only librdkafka knows: is there such a property, and may it have that value? */
static size_t check_properties(const char *path, const struct ferry_properties *properties)
{
    size_t mistakes = 0;
    for (size_t i = 0; i < properties->count; i++) {
        const struct ferry_property *property = &properties->items[i];
        struct ferry_error error = {0};
        if (ferry_kafka_property_check(property->name, property->value, &error) == FERRY_OK)
            continue;
        mistakes++;
        fprintf(stderr, "%s:%d: %s.%s\n", property->place.file, property->place.line, path, error.text);
    }
    return mistakes;
}

static size_t check_all_properties(const struct ferry_config *config)
{
    return check_properties("kafka", &config->kafka) + check_properties("bridge.kafka", &config->bridge.kafka) +
           check_properties("slack.kafka", &config->slack.worker.kafka) +
           check_properties("mail.kafka", &config->mail.worker.kafka) +
           check_properties("automation.kafka", &config->automation.worker.kafka);
}

static int judge(const struct request *request, const struct ferry_config *config,
                 const struct ferry_findings *findings)
{
    ferry_program_print_findings(findings);
    size_t mistakes = findings->errors + (findings->errors == 0 ? check_all_properties(config) : 0);
    size_t warnings = findings->count - findings->errors;
    if (mistakes > 0) {
        fprintf(stderr, "%s: %zu mistake%s\n", config->file, mistakes, mistakes == 1 ? "" : "s");
        return FERRY_EXIT_CONFIG;
    }
    printf("%s: good", config->file);
    if (warnings > 0)
        printf(", with %zu warning%s", warnings, warnings == 1 ? "" : "s");
    putchar('\n');
    ferry_log_setup("ferry", FERRY_LOG_TEXT, FERRY_LOG_WARN); /* what librdkafka warns of is read by people here */
    if (request->online && !ferry_check_online(config, request->sections, stdout))
        return FERRY_EXIT_FAILED;
    return FERRY_EXIT_DONE;
}

int ferry_command_check(int argc, char **argv)
{
    struct request request = {.sections = FERRY_SECTION_ALL};
    int exit_code = parse(argc, argv, &request);
    if (exit_code >= 0)
        return exit_code;
    if (request.reference)
        return print_reference();
    const char *path = request.config != NULL ? request.config : ferry_program_config_path();
    struct ferry_config *config = NULL;
    struct ferry_findings findings = {0};
    struct ferry_error error = {0};
    enum ferry_code code = ferry_config_load(path, request.sections, &config, &findings, &error);
    if (config == NULL || (code != FERRY_OK && code != FERRY_CONFIG)) {
        fprintf(stderr, "ferry check: %s\n", error.text);
        return FERRY_EXIT_FAILED;
    }
    exit_code = judge(&request, config, &findings);
    ferry_config_free(config);
    return exit_code;
}
