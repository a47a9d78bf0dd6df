/* ferry sign: the header lines with which a sender would sign a body. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/program.h"
#include "core/signature.h"
#include "ferry/cli.h"
#include "ferry/command.h"
#include "ferry/options.h"

static const char usage[] = "usage: ferry sign [--scheme SCHEME] (--secret-env NAME | --secret-file FILE) [FILE]\n"
                            "\n"
                            "Prints the header lines that sign the bytes of FILE (or of standard input).\n"
                            "  --scheme SCHEME     qlik (default), github, stripe, slack or standard-webhooks\n"
                            "  --secret-env NAME   the secret is in this environment variable\n"
                            "  --secret-file FILE  the secret is in this file (a trailing newline is dropped)\n"
                            "  --id ID             the message's id, for standard-webhooks\n";

struct request {
    enum ferry_signature_scheme scheme;
    const char *secret_env;
    const char *secret_file;
    const char *id;
    const char *file;
};

static int wrong_usage(const char *complaint)
{
    return ferry_cli_refuse("sign", complaint);
}

static const char *take_scheme(const char *name, void *target)
{
    enum ferry_signature_scheme scheme;
    if (!ferry_signature_scheme_parse(name, &scheme) || scheme >= FERRY_SIGNATURE_BEARER)
        return "--scheme is one of qlik, github, stripe, slack, standard-webhooks";
    *(enum ferry_signature_scheme *)target = scheme;
    return NULL;
}

/* -1 to go on, or the exit code. */
static int parse(int argc, char **argv, struct request *request)
{
    const struct ferry_option options[] = {
        {"scheme", .take = take_scheme, .target = &request->scheme},
        {"secret-env", .text = &request->secret_env},
        {"secret-file", .text = &request->secret_file},
        {"id", .text = &request->id},
        {0},
    };
    int code = ferry_options_read(argc, argv, "sign", usage, options);
    if (code >= 0)
        return code;
    if ((request->secret_env != NULL) == (request->secret_file != NULL))
        return wrong_usage("name one secret: --secret-env or --secret-file");
    if (argc - optind > 1)
        return wrong_usage("one file at most");
    request->file = optind < argc ? argv[optind] : "-";
    return -1;
}

int ferry_command_sign(int argc, char **argv)
{
    struct request request = {.scheme = FERRY_SIGNATURE_QLIK, .id = "msg_ferry"};
    int code = parse(argc, argv, &request);
    if (code >= 0)
        return code;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer body;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer headers;
    FERRY_CLEANUP(ferry_secret_done) struct ferry_secret secret = {NULL, 0};
    ferry_buffer_init(&body, FERRY_CLI_FILE_BYTES);
    ferry_buffer_init(&headers, FERRY_CLI_FILE_BYTES);
    if (!ferry_cli_secret(request.secret_env, request.secret_file, &secret) || !ferry_cli_read(request.file, &body))
        return FERRY_EXIT_FAILED;
    struct ferry_error error;
    if (ferry_signature_make(request.scheme, &secret, ferry_buffer_slice(&body), ferry_clock_wall_ms(), request.id,
                             &headers, &error) != FERRY_OK) {
        fprintf(stderr, "ferry: %s\n", error.text);
        return FERRY_EXIT_FAILED;
    }
    fputs(ferry_buffer_slice(&headers).ptr, stdout);
    return FERRY_EXIT_DONE;
}
