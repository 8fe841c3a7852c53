#include "pool/variable_type.h"

const char *variable_type_name(enum variable_type type)
{
    static const char *const names[VARIABLE_TYPES] = {
        "any", "float",     "integer", "string", "boolean", "list",
        "map", "embedding", "tensor",  "choice", "module",
    };
    return names[type];
}

bool variable_type_find(struct bytes name, enum variable_type *out_type)
{
    for (unsigned i = 0; i < VARIABLE_TYPES; i++) {
        if (bytes_equal(name, bytes_of(variable_type_name((enum variable_type)i)))) {
            *out_type = (enum variable_type)i;
            return true;
        }
    }
    return false;
}
