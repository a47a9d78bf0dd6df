/* ferry sign: the header lines with which a sender would sign a body. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/program.h"
#include "core/signature.h"
#include "ferry/cli.h"
#include "ferry/command.h"

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

/* -1 to go on, or the exit code. */
static int parse(int argc, char **argv, struct request *request)
{
    static const struct option options[] = {
        {"scheme", required_argument, NULL, 's'},
        {"secret-env", required_argument, NULL, 'e'},
        {"secret-file", required_argument, NULL, 'f'},
        {"id", required_argument, NULL, 'i'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case 's':
            if (!ferry_signature_scheme_parse(optarg, &request->scheme) || request->scheme >= FERRY_SIGNATURE_BEARER)
                return wrong_usage("--scheme is one of qlik, github, stripe, slack, standard-webhooks");
            break;
        case 'e':
            request->secret_env = optarg;
            break;
        case 'f':
            request->secret_file = optarg;
            break;
        case 'i':
            request->id = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            return FERRY_EXIT_DONE;
        default:
            return wrong_usage(NULL);
        }
    }
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
