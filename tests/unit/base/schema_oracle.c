/* Checks values for other programs: reads lines of [schema, [value, …]] and writes one for each:
 * the number of problems with the schema, and for each value 1 (it fits) or 0. With an argument,
 * the faults too. Held against Python's jsonschema by tests/api/test_arguments.py. */
#include "base/json.h"
#include "base/schema.h"

#include <stdio.h>
#include <stdlib.h>

static void show(const char *what, const struct schema_faults *faults)
{
    for (unsigned i = 0; i < faults->count; i++)
        fprintf(stderr, "%s \"%s\" %s: %s\n", what, faults->list[i].pointer,
                faults->list[i].keyword, faults->list[i].detail);
}

static void check_values(const struct schema *schema, struct bytes values, bool tell)
{
    static struct schema_faults faults;
    struct json_cursor cursor = {0};
    struct json_value value;
    while (json_next(values, &cursor, NULL, &value)) {
        bool good = !schema || schema_check(schema, value.raw, &faults);
        putchar(good ? '1' : '0');
        if (!good && tell)
            show("fault", &faults);
    }
}

static bool check_line(struct bytes line, bool tell)
{
    static struct schema_faults problems;
    struct json_cursor cursor = {0};
    struct json_value whole, text, values;
    if (!json_check(line, JSON_MAX_DEPTH, &whole, NULL) || whole.type != JSON_TYPE_ARRAY ||
        !json_next(whole.raw, &cursor, NULL, &text) ||
        !json_next(whole.raw, &cursor, NULL, &values) || values.type != JSON_TYPE_ARRAY)
        return false;
    struct schema *schema = schema_compile(text.raw, &problems);
    if (tell)
        show("problem", &problems);
    printf("%u ", problems.count);
    check_values(schema, values.raw, tell);
    putchar('\n');
    schema_free(&schema);
    return true;
}

int main(int argc, char **argv)
{
    (void)argv;
    char *line = NULL;
    size_t capacity = 0;
    ssize_t len;
    bool good = true;
    while (good && (len = getline(&line, &capacity, stdin)) >= 0)
        good = check_line(bytes_from(line, (size_t)len), argc > 1);
    free(line);
    if (!good)
        fputs("expected lines of [schema, [value, …]]\n", stderr);
    return good ? 0 : 1;
}
