#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/base64.h"
#include "core/buffer.h"
#include "core/signature.h"

static const char key[] = "0123456789abcdef0123456789abcdef";
static const int64_t now_ms = 1763838687123;

static struct ferry_secret secret_of(const char *text)
{
    return (struct ferry_secret){(char *)text, strlen(text)};
}

static struct ferry_verifier *verifier_of(enum ferry_signature_scheme scheme, const char *first, const char *second)
{
    struct ferry_secret secrets[] = {secret_of(first), secret_of(second != NULL ? second : "")};
    struct ferry_verifier *verifier = NULL;
    struct ferry_error error = {.text = ""};
    if (ferry_verifier_new(scheme, secrets, second != NULL ? 2 : 1, &verifier, &error) != FERRY_OK)
        fail_msg("%s", error.text);
    return verifier;
}

static enum ferry_code check_pairs(const struct ferry_verifier *verifier, const struct ferry_pair *pairs, size_t count,
                                   const char *body)
{
    struct ferry_error error = {.text = ""};
    enum ferry_code code =
        ferry_verifier_check(verifier, (struct ferry_pairs){pairs, count}, ferry_slice_from(body), now_ms, &error);
    assert_true(code == FERRY_OK || (error.code == code && error.text[0] != '\0'));
    return code;
}

static enum ferry_code check_one(const struct ferry_verifier *verifier, const char *name, const char *value,
                                 const char *body)
{
    struct ferry_pair pair = {ferry_slice_from(name), ferry_slice_from(value)};
    return check_pairs(verifier, &pair, 1, body);
}

/* ---- the shared vectors ---- */

static const char *text_of(json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static struct ferry_slice body_of(json_t *vector, char room[4096])
{
    size_t len = 0;
    assert_true(ferry_base64_decode(ferry_slice_from(text_of(vector, "body_b64")), room, 4096, &len));
    return ferry_slice_of(room, len);
}

static size_t unhex(const char *hex, char *out)
{
    size_t len = strlen(hex) / 2;
    for (size_t i = 0; i < len; i++) {
        char digits[] = {hex[2 * i], hex[2 * i + 1], '\0'};
        out[i] = (char)strtoul(digits, NULL, 16);
    }
    return len;
}

static void raw_vector_matches(json_t *vector, struct ferry_slice body)
{
    char raw_key[256], expected[FERRY_DIGEST];
    size_t key_len = unhex(text_of(vector, "key_hex"), raw_key);
    assert_int_equal(unhex(text_of(vector, "expected_hex"), expected), FERRY_DIGEST);
    unsigned char digest[FERRY_DIGEST];
    assert_true(ferry_hmac_sha256(ferry_slice_of(raw_key, key_len), body, digest));
    assert_memory_equal(digest, expected, FERRY_DIGEST);
}

static void scheme_vector_matches(json_t *vector, struct ferry_slice body)
{
    enum ferry_signature_scheme scheme;
    assert_true(ferry_signature_scheme_parse(text_of(vector, "profile"), &scheme));
    struct ferry_verifier *verifier = verifier_of(scheme, text_of(vector, "secret"), NULL);
    struct ferry_pair pairs[4];
    size_t count = 0;
    const char *name;
    json_t *value;
    json_object_foreach (json_object_get(vector, "headers"), name, value) {
        pairs[count].name = ferry_slice_from(name);
        pairs[count++].value = ferry_slice_from(json_string_value(value));
    }
    int64_t wall_ms = json_integer_value(json_object_get(vector, "now")) * 1000;
    struct ferry_error error;
    enum ferry_code code = ferry_verifier_check(verifier, (struct ferry_pairs){pairs, count}, body, wall_ms, &error);
    if ((code == FERRY_OK) != json_is_true(json_object_get(vector, "valid")))
        fail_msg("%s, %s, %s: %s", text_of(vector, "profile"), text_of(vector, "origin"), text_of(vector, "why"),
                 ferry_code_name(code));
    ferry_verifier_free(verifier);
}

static void all_shared_vectors_give_their_verdict(void **state)
{
    (void)state;
    json_t *vectors = json_load_file(FERRY_TEST_DATA "/signatures.json", 0, NULL);
    assert_int_equal(json_array_size(vectors), 34);
    size_t i;
    json_t *vector;
    json_array_foreach (vectors, i, vector) {
        char room[4096];
        struct ferry_slice body = body_of(vector, room);
        if (strcmp(text_of(vector, "profile"), "raw-hmac-sha256") == 0)
            raw_vector_matches(vector, body);
        else
            scheme_vector_matches(vector, body);
    }
    json_decref(vectors);
}

/* ---- Qlik ---- */

static const char empty_object_hex[] = "b326604c0dc7364c8b688556189c0a510e5150cd4628736be814c7c9898f899d";

static void a_qlik_signature_is_plain_hex_in_either_case(void **state)
{
    (void)state;
    struct ferry_verifier *verifier = verifier_of(FERRY_SIGNATURE_QLIK, key, NULL);
    assert_int_equal(check_one(verifier, "qlik-signature", empty_object_hex, "{}"), FERRY_OK);
    assert_int_equal(check_one(verifier, "Qlik-Signature",
                               "47907E7DBE38ADECDF6CB4F936FA59AAD560959065BBA90BB8691AAF64309280",
                               "{\"name\":\"\xC3\x85sa\"}"),
                     FERRY_OK);
    assert_int_equal(check_one(verifier, "Qlik-Signature", empty_object_hex, "{} "), FERRY_SIGNATURE_WRONG);
    ferry_verifier_free(verifier);
}

static void a_missing_signature_is_refused(void **state)
{
    (void)state;
    struct ferry_verifier *verifier = verifier_of(FERRY_SIGNATURE_QLIK, key, NULL);
    assert_int_equal(check_pairs(verifier, NULL, 0, "{}"), FERRY_SIGNATURE_MISSING);
    assert_int_equal(check_one(verifier, "Qlik-Signature", "", "{}"), FERRY_SIGNATURE_MISSING);
    ferry_verifier_free(verifier);
}

static void a_doubled_signature_is_refused(void **state)
{
    (void)state;
    struct ferry_verifier *verifier = verifier_of(FERRY_SIGNATURE_QLIK, key, NULL);
    struct ferry_pair pairs[] = {{FERRY_SLICE("Qlik-Signature"), ferry_slice_from(empty_object_hex)},
                                 {FERRY_SLICE("QLIK-SIGNATURE"), ferry_slice_from(empty_object_hex)}};
    assert_int_equal(check_pairs(verifier, pairs, 2, "{}"), FERRY_SIGNATURE_REPEATED);
    ferry_verifier_free(verifier);
}

static void only_exactly_64_hex_digits_are_a_signature(void **state)
{
    (void)state;
    static const char *const malformed[] = {
        "b326604c0dc7364c8b688556189c0a510e5150cd4628736be814c7c9898f899",
        "b326604c0dc7364c8b688556189c0a510e5150cd4628736be814c7c9898f899d0",
        "b326604c0dc7364c8b688556189c0a510e5150cd4628736be814c7c9898f899g",
        "sha256=b326604c0dc7364c8b688556189c0a510e5150cd4628736be814c7c9898f899d",
        "0xb326604c0dc7364c8b688556189c0a510e5150cd4628736be814c7c9898f89",
    };
    struct ferry_verifier *verifier = verifier_of(FERRY_SIGNATURE_QLIK, key, NULL);
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++)
        assert_int_equal(check_one(verifier, "Qlik-Signature", malformed[i], "{}"), FERRY_SIGNATURE_MALFORMED);
    ferry_verifier_free(verifier);
}

static void any_one_of_the_secrets_may_match(void **state)
{
    (void)state;
    struct ferry_verifier *verifier = verifier_of(FERRY_SIGNATURE_QLIK, "another-secret-of-32-characters!!", key);
    assert_int_equal(check_one(verifier, "Qlik-Signature", empty_object_hex, "{}"), FERRY_OK);
    ferry_verifier_free(verifier);
}

/* ---- the other schemes ---- */

static void a_bearer_token_is_compared_as_a_whole(void **state)
{
    (void)state;
    struct ferry_verifier *verifier = verifier_of(FERRY_SIGNATURE_BEARER, "token", "other");
    static const struct {
        const char *value;
        enum ferry_code code;
    } cases[] = {{"Bearer token", FERRY_OK},
                 {"bearer  other", FERRY_OK},
                 {"Bearer toke", FERRY_SIGNATURE_WRONG},
                 {"Bearer tokens", FERRY_SIGNATURE_WRONG},
                 {"Bearer Token", FERRY_SIGNATURE_WRONG},
                 {"Basic dG9rZW4=", FERRY_SIGNATURE_MALFORMED},
                 {"token", FERRY_SIGNATURE_MALFORMED}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(check_one(verifier, "Authorization", cases[i].value, "{}"), cases[i].code);
    struct ferry_pair doubled[] = {{FERRY_SLICE("Authorization"), FERRY_SLICE("Bearer token")},
                                   {FERRY_SLICE("Authorization"), FERRY_SLICE("Bearer token")}};
    assert_int_equal(check_pairs(verifier, doubled, 2, "{}"), FERRY_SIGNATURE_REPEATED);
    ferry_verifier_free(verifier);
}

static void none_is_always_right(void **state)
{
    (void)state;
    struct ferry_verifier *verifier = NULL;
    assert_int_equal(ferry_verifier_new(FERRY_SIGNATURE_NONE, NULL, 0, &verifier, NULL), FERRY_OK);
    assert_int_equal(check_pairs(verifier, NULL, 0, "{}"), FERRY_OK);
    ferry_verifier_free(verifier);
}

static void a_stripe_header_needs_one_time(void **state)
{
    (void)state;
    static const char *const malformed[] = {
        "v1=07b1ede164afb7b5de91267ffa656f568c65d6e0783ce0ac55ee094643578eda",
        "t=1,t=2,v1=07b1ede164afb7b5de91267ffa656f568c65d6e0783ce0ac55ee094643578eda",
        "t=,v1=07b1ede164afb7b5de91267ffa656f568c65d6e0783ce0ac55ee094643578eda",
        "t=-1,v1=07b1ede164afb7b5de91267ffa656f568c65d6e0783ce0ac55ee094643578eda",
        "t=1234567890123,v1=07b1ede164afb7b5de91267ffa656f568c65d6e0783ce0ac55ee094643578eda",
        "t=1,,",
    };
    struct ferry_verifier *verifier = verifier_of(FERRY_SIGNATURE_STRIPE, key, NULL);
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++)
        assert_int_equal(check_one(verifier, "Stripe-Signature", malformed[i], "{}"), FERRY_SIGNATURE_MALFORMED);
    ferry_verifier_free(verifier);
}

static void a_header_with_endless_signatures_is_refused(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer value;
    ferry_buffer_init(&value, 4096);
    for (int i = 0; i < 17; i++)
        ferry_buffer_add_text(&value, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= ");
    struct ferry_pair pairs[] = {{FERRY_SLICE("webhook-id"), FERRY_SLICE("m")},
                                 {FERRY_SLICE("webhook-timestamp"), FERRY_SLICE("1763838687")},
                                 {FERRY_SLICE("webhook-signature"), ferry_buffer_slice(&value)}};
    struct ferry_verifier *verifier = verifier_of(FERRY_SIGNATURE_STANDARD_WEBHOOKS, "Zm9v", NULL);
    assert_int_equal(check_pairs(verifier, pairs, 3, "{}"), FERRY_SIGNATURE_MALFORMED);
    ferry_verifier_free(verifier);
}

/* ---- making ---- */

/* Splits "Name: value\n" lines. */
static size_t split_headers(char *text, struct ferry_pair *pairs)
{
    size_t count = 0;
    for (char *save = NULL, *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
        char *colon = strstr(line, ": ");
        assert_non_null(colon);
        pairs[count].name = ferry_slice_of(line, (size_t)(colon - line));
        pairs[count++].value = ferry_slice_from(colon + 2);
    }
    return count;
}

static void assert_made_is_accepted(enum ferry_signature_scheme scheme, const char *secret_text)
{
    struct ferry_secret secret = secret_of(secret_text);
    struct ferry_buffer made;
    ferry_buffer_init(&made, 4096);
    assert_int_equal(ferry_signature_make(scheme, &secret, FERRY_SLICE("{\"a\":1}"), now_ms, "msg_1", &made, NULL),
                     FERRY_OK);
    struct ferry_pair pairs[4];
    char *text = ferry_buffer_take(&made);
    size_t count = split_headers(text, pairs);
    struct ferry_verifier *verifier = verifier_of(scheme, secret_text, NULL);
    assert_int_equal(check_pairs(verifier, pairs, count, "{\"a\":1}"), FERRY_OK);
    if (scheme != FERRY_SIGNATURE_BEARER)
        assert_int_equal(check_pairs(verifier, pairs, count, "{\"a\":2}"), FERRY_SIGNATURE_WRONG);
    ferry_verifier_free(verifier);
    free(text);
}

static void what_is_made_is_accepted_in_every_scheme(void **state)
{
    (void)state;
    for (int scheme = FERRY_SIGNATURE_QLIK; scheme < FERRY_SIGNATURE_NONE; scheme++)
        assert_made_is_accepted((enum ferry_signature_scheme)scheme, key);
    assert_made_is_accepted(FERRY_SIGNATURE_STANDARD_WEBHOOKS, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
}

static void a_made_stale_signature_is_named_stale(void **state)
{
    (void)state;
    struct ferry_secret secret = secret_of(key);
    for (int offset_s = -301; offset_s <= 301; offset_s += 602) {
        struct ferry_buffer made;
        ferry_buffer_init(&made, 4096);
        assert_int_equal(ferry_signature_make(FERRY_SIGNATURE_SLACK, &secret, FERRY_SLICE("{}"),
                                              now_ms + INT64_C(1000) * offset_s, NULL, &made, NULL),
                         FERRY_OK);
        struct ferry_pair pairs[4];
        char *text = ferry_buffer_take(&made);
        size_t count = split_headers(text, pairs);
        struct ferry_verifier *verifier = verifier_of(FERRY_SIGNATURE_SLACK, key, NULL);
        assert_int_equal(check_pairs(verifier, pairs, count, "{}"), FERRY_SIGNATURE_STALE);
        assert_int_equal(check_pairs(verifier, pairs, count, "{ }"), FERRY_SIGNATURE_WRONG);
        ferry_verifier_free(verifier);
        free(text);
    }
}

/* ---- secrets ---- */

static void a_secret_that_does_not_fit_is_a_configuration_error(void **state)
{
    (void)state;
    static const struct {
        enum ferry_signature_scheme scheme;
        const char *secret;
    } cases[] = {{FERRY_SIGNATURE_QLIK, ""},
                 {FERRY_SIGNATURE_QLIK, "0123456789abcdef0123456789abcde"},
                 {FERRY_SIGNATURE_GITHUB, ""},
                 {FERRY_SIGNATURE_BEARER, ""},
                 {FERRY_SIGNATURE_STANDARD_WEBHOOKS, "whsec_"},
                 {FERRY_SIGNATURE_STANDARD_WEBHOOKS, "whsec_not base64!"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ferry_secret secret = secret_of(cases[i].secret);
        struct ferry_verifier *verifier = NULL;
        struct ferry_error error;
        assert_int_equal(ferry_verifier_new(cases[i].scheme, &secret, 1, &verifier, &error), FERRY_CONFIG);
        assert_null(verifier);
        if (strlen(cases[i].secret) > 6) /* the message never repeats it */
            assert_null(strstr(error.text, cases[i].secret));
    }
    struct ferry_verifier *verifier = NULL;
    assert_int_equal(ferry_verifier_new(FERRY_SIGNATURE_QLIK, NULL, 0, &verifier, NULL), FERRY_CONFIG);
}

static void scheme_names_go_both_ways(void **state)
{
    (void)state;
    for (int i = FERRY_SIGNATURE_QLIK; i <= FERRY_SIGNATURE_NONE; i++) {
        enum ferry_signature_scheme scheme;
        assert_true(ferry_signature_scheme_parse(ferry_signature_scheme_name((enum ferry_signature_scheme)i), &scheme));
        assert_int_equal(scheme, i);
    }
    enum ferry_signature_scheme scheme;
    assert_false(ferry_signature_scheme_parse("Qlik", &scheme));
}

static void *check_often(void *context)
{
    size_t wrong = 0;
    for (int i = 0; i < 500; i++)
        wrong += check_one(context, "Qlik-Signature", empty_object_hex, "{}") != FERRY_OK;
    return (void *)wrong;
}

static void many_threads_may_check_at_once(void **state)
{
    (void)state;
    struct ferry_verifier *verifier = verifier_of(FERRY_SIGNATURE_QLIK, key, NULL);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, check_often, verifier), 0);
    for (int i = 0; i < 4; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    ferry_verifier_free(verifier);
}

/* RFC 4231, test cases 1, 2 and 6: a key shorter than a block, one shorter than a digest, one longer than a block. */
static void an_hmac_is_that_of_the_standard(void **state)
{
    (void)state;
    char ones[20], long_key[131];
    memset(ones, 0x0b, sizeof ones);
    memset(long_key, 0xaa, sizeof long_key);
    const struct {
        struct ferry_slice key, message;
        const char *digest;
    } cases[] = {
        {ferry_slice_of(ones, sizeof ones), FERRY_SLICE("Hi There"),
         "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {FERRY_SLICE("Jefe"), FERRY_SLICE("what do ya want for nothing?"),
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {ferry_slice_of(long_key, sizeof long_key),
         FERRY_SLICE("Test Using Larger Than Block-Size Key - Hash Key First"),
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned char digest[FERRY_DIGEST];
        char hex[2 * FERRY_DIGEST + 1];
        assert_true(ferry_hmac_sha256(cases[i].key, cases[i].message, digest));
        for (size_t j = 0; j < sizeof digest; j++)
            snprintf(hex + 2 * j, 3, "%02x", digest[j]);
        assert_string_equal(hex, cases[i].digest);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_hmac_is_that_of_the_standard),
        cmocka_unit_test(all_shared_vectors_give_their_verdict),
        cmocka_unit_test(a_qlik_signature_is_plain_hex_in_either_case),
        cmocka_unit_test(a_missing_signature_is_refused),
        cmocka_unit_test(a_doubled_signature_is_refused),
        cmocka_unit_test(only_exactly_64_hex_digits_are_a_signature),
        cmocka_unit_test(any_one_of_the_secrets_may_match),
        cmocka_unit_test(a_bearer_token_is_compared_as_a_whole),
        cmocka_unit_test(none_is_always_right),
        cmocka_unit_test(a_stripe_header_needs_one_time),
        cmocka_unit_test(a_header_with_endless_signatures_is_refused),
        cmocka_unit_test(what_is_made_is_accepted_in_every_scheme),
        cmocka_unit_test(a_made_stale_signature_is_named_stale),
        cmocka_unit_test(a_secret_that_does_not_fit_is_a_configuration_error),
        cmocka_unit_test(scheme_names_go_both_ways),
        cmocka_unit_test(many_threads_may_check_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
