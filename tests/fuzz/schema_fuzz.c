/* Properties of the schema checker, for any bytes: the first line is a schema, the rest a value.
 * Compiling and checking end; faults and problems are told whole; a verdict does not change when it
 * is asked for again, nor when the schema stands in an allOf. */
#include "base/buffer.h"
#include "base/json.h"
#include "base/schema.h"
#include "base/utf8.h"

#include "fuzz.h"

#include <string.h>

enum { VALUE_MAX_DEPTH = 128 };

static bool is_utf8(const char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        size_t length = utf8_length(text, left);
        if (length == 0)
            return false;
        text += length;
        left -= length;
    }
    return true;
}

static void check_faults(const struct schema_faults *faults)
{
    fuzz_require(faults->count <= SCHEMA_MAX_FAULTS, "faults fit the list");
    for (unsigned i = 0; i < faults->count; i++) {
        const struct schema_fault *fault = &faults->list[i];
        fuzz_require(fault->keyword[0] != '\0', "a fault has a keyword");
        fuzz_require(fault->pointer[0] == '\0' || fault->pointer[0] == '/', "and a pointer");
        fuzz_require(is_utf8(fault->pointer), "which is UTF-8");
        fuzz_require(is_utf8(fault->detail), "as is what it says");
    }
}

static bool check(const struct schema *schema, struct bytes value)
{
    struct schema_faults faults;
    bool good = schema_check(schema, value, &faults);
    fuzz_require(good == (faults.count == 0), "there are faults where it does not fit");
    check_faults(&faults);
    return good;
}

static void compare_wrapped(struct bytes text, struct bytes value, bool expected)
{
    struct schema_faults problems;
    struct buffer wrapped = {0};
    buffer_add_string(&wrapped, "{\"allOf\":[");
    buffer_add(&wrapped, text);
    buffer_add_string(&wrapped, "]}");
    struct schema *schema = schema_compile(buffer_bytes(&wrapped), &problems);
    if (schema && problems.count == 0)
        fuzz_require(check(schema, value) == expected, "in an allOf it says the same");
    schema_free(&schema);
    buffer_deinit(&wrapped);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line = size ? memchr(data, '\n', size) : NULL;
    struct schema_faults problems;
    struct json_value value;
    if (!line)
        return 0;
    struct bytes text = bytes_from(data, (size_t)(line - data));
    struct bytes rest = bytes_skip(bytes_from(data, size), text.len + 1);
    struct schema *schema = schema_compile(text, &problems);
    check_faults(&problems);
    fuzz_require(schema || problems.count > 0, "what cannot be used says why");
    if (schema && json_check(rest, VALUE_MAX_DEPTH, &value, NULL)) {
        bool good = check(schema, value.raw);
        fuzz_require(check(schema, value.raw) == good, "a verdict stays");
        if (problems.count == 0 && !memmem(text.data, text.len, "#", 1) &&
            !memmem(text.data, text.len, "$id", 3))
            compare_wrapped(text, value.raw, good);
    }
    schema_free(&schema);
    return 0;
}
