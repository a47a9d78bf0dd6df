/* Is a secret compared in constant time? Valgrind tells: it follows bytes that it holds for undefined, and complains
 * when a branch or an address depends on one. So secrets are marked undefined, and the checks are run: what may depend
 * on a secret is the verdict alone, which is one branch for each check.
 *
 *   valgrind constant_time            counts those branches, and fails when there are more or fewer
 *   valgrind constant_time planted    the same with a memcmp in its place: must fail
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/memcheck.h>

#include "core/signature.h"

enum { SECRET = 40, WALL_MS = 1700000000 };

static char secret_bytes[SECRET + 1] = "a-webhook-secret-of-at-least-32-letters!";
static bool planted;

static bool equal(struct ferry_slice a, struct ferry_slice b)
{
    if (!planted)
        return ferry_equal_constant_time(a, b);
    return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

/* A comparison alone: no branch at all, its result is handed on. */
static unsigned compare_alone(const char *other)
{
    bool same = equal(ferry_slice_of(secret_bytes, SECRET), ferry_slice_of(other, SECRET));
    VALGRIND_MAKE_MEM_DEFINED(&same, sizeof same);
    (void)same;
    return 0;
}

/* A whole check with a secret that nobody knows. */
static unsigned check_signature(enum ferry_signature_scheme scheme, const char *header, const char *value)
{
    const struct ferry_secret secret = {secret_bytes, SECRET};
    struct ferry_verifier *verifier = NULL;
    if (ferry_verifier_new(scheme, &secret, 1, &verifier, NULL) != FERRY_OK)
        exit(2);
    struct ferry_pair pair = {ferry_slice_from(header), ferry_slice_from(value)};
    struct ferry_pairs headers = {&pair, 1};
    enum ferry_code code = ferry_verifier_check(verifier, headers, FERRY_SLICE("{}"), WALL_MS, NULL);
    VALGRIND_MAKE_MEM_DEFINED(&code, sizeof code);
    ferry_verifier_free(verifier);
    return 1; /* the verdict */
}

/* Runs everything; how many branches may depend on the secret. */
static unsigned run_all(void)
{
    static const char digest[] = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    static const char right[] = "a-webhook-secret-of-at-least-32-letters!",
                      early[] = "X-webhook-secret-of-at-least-32-letters!",
                      late[] = "a-webhook-secret-of-at-least-32-lettersX";
    char bearer[64], github[96];
    unsigned verdicts = compare_alone(right) + compare_alone(early) + compare_alone(late);
    verdicts += check_signature(FERRY_SIGNATURE_QLIK, "Qlik-Signature", digest);
    snprintf(github, sizeof github, "sha256=%s", digest);
    verdicts += check_signature(FERRY_SIGNATURE_GITHUB, "X-Hub-Signature-256", github);
    snprintf(bearer, sizeof bearer, "Bearer %s", late);
    return verdicts + check_signature(FERRY_SIGNATURE_BEARER, "Authorization", bearer);
}

int main(int argc, char **argv)
{
    planted = argc > 1 && strcmp(argv[1], "planted") == 0;
    if (!RUNNING_ON_VALGRIND) {
        fprintf(stderr, "run it under valgrind\n");
        return 2;
    }
    VALGRIND_MAKE_MEM_UNDEFINED(secret_bytes, SECRET);
    unsigned allowed = run_all();
    unsigned found = VALGRIND_COUNT_ERRORS;
    printf("%u branches depend on the secret, %u verdicts were given\n", found, allowed);
    return found == allowed ? 0 : 1;
}
