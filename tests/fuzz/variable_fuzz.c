/* A write of a variable: any type, constraints and value, each a line, are taken or refused; what
 * was taken is JSON, and is taken again as it is. */
#include "base/json.h"
#include "fuzz.h"
#include "pool/variable.h"

#include <stdlib.h>

/* The rest up to the line feed, which is dropped. */
static struct bytes take_line(struct bytes *rest)
{
    const char *end = rest->len ? memchr(rest->data, '\n', rest->len) : NULL;
    struct bytes line = bytes_from(rest->data, end ? (size_t)(end - rest->data) : rest->len);
    *rest = bytes_skip(*rest, line.len + (end != NULL));
    return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes rest = bytes_from(size ? (const void *)data : "", size);
    struct variable_fault fault;
    struct variable_write write = {.name = BYTES("x")};
    write.type = take_line(&rest);
    write.constraints = take_line(&rest);
    write.value = rest;
    struct variable *first = variable_new(&write, NULL, 1, &fault);
    if (!first)
        return 0;
    write = (struct variable_write){.name = first->name, .value = first->value};
    struct variable *second = variable_new(&write, first, 2, &fault);
    bool same = second && bytes_equal(first->value, second->value) &&
                json_check(first->value, JSON_MAX_DEPTH, NULL, NULL);
    if (!same)
        abort();
    free(first);
    free(second);
    return 0;
}
