/* Holds the JSON reader against jansson, by the fuzz target's properties (json_fuzz.c), on every
 * text that is one byte away from a sample. Needs jansson and json_fuzz.c on the link line, hence
 * no *_test.c. */
#include "../../fuzz/fuzz.h"

#include "run.h"

#include <string.h>

static const char *const samples[] = {
    "{\"tool\": \"add\", \"args\": {\"a\": -1.5e+3, \"b\": [true, false, null, 0]}, \"\": {}}",
    "[\"\\u00e9\\ud83d\\ude39\", \"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\xb9\xed\x9f\xbf\"]",
    "{\"\\n\\\\\": [\"\\\"\"]}",
    " \n[[ ], -0 , 10.25E-7,9007199254740993 ]\t",
};

enum { SAMPLES = sizeof(samples) / sizeof(samples[0]) };

/* A copy of `len` bytes in memory of just that size is what the target sees. */
static void run(const char *text, size_t len)
{
    uint8_t *exact = malloc(len ? len : 1);
    memcpy(exact, text, len);
    LLVMFuzzerTestOneInput(exact, len);
    free(exact);
}

START_TEST(sample_with_any_byte_changed)
{
    char text[256];
    size_t len = strlen(samples[_i]);
    for (size_t at = 0; at < len; at++) {
        memcpy(text, samples[_i], len);
        for (int byte = 0; byte < 256; byte++) {
            text[at] = (char)byte;
            run(text, len);
        }
    }
}
END_TEST

START_TEST(sample_with_any_byte_put_in)
{
    char text[256];
    size_t len = strlen(samples[_i]);
    for (size_t at = 0; at <= len; at++) {
        memcpy(text, samples[_i], at);
        memcpy(text + at + 1, samples[_i] + at, len - at);
        for (int byte = 0; byte < 256; byte++) {
            text[at] = (char)byte;
            run(text, len + 1);
        }
    }
}
END_TEST

START_TEST(sample_with_any_part_left_out)
{
    char text[256];
    size_t len = strlen(samples[_i]);
    for (size_t from = 0; from < len; from++) {
        for (size_t to = from; to <= len; to++) {
            memcpy(text, samples[_i], from);
            memcpy(text + from, samples[_i] + to, len - to);
            run(text, len - (to - from));
        }
    }
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("json oracle");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, sample_with_any_byte_changed, 0, SAMPLES);
    tcase_add_loop_test(tests, sample_with_any_byte_put_in, 0, SAMPLES);
    tcase_add_loop_test(tests, sample_with_any_part_left_out, 0, SAMPLES);
    return run_case(tests, "json oracle");
}
