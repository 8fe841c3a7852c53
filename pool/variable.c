#include "pool/variable.h"

#include "base/buffer.h"
#include "base/decimal.h"
#include "base/json.h"
#include "base/json_equal.h"
#include "base/mem.h"
#include "pool/constraints.h"

enum { WHOLE_DIGITS_MAX = 400 }; /* of an integer that is written with a fraction or exponent */

size_t variable_size(const struct variable *variable)
{
    return sizeof *variable + variable->name.len + variable->value.len + variable->constraints.len;
}

static bool refuse(struct variable_fault *out_fault, const char *wanted)
{
    return variable_fault(out_fault, "value", "must be %s", wanted);
}

bool variable_is_name(struct bytes name)
{
    bool good = name.len && name.len <= VARIABLE_NAME_MAX && !memchr(".:-", name.data[0], 3);
    for (size_t i = 0; good && i < name.len; i++) {
        char c = name.data[i];
        good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               (c && memchr("_.:-", c, 4));
    }
    return good;
}

/* --- numbers --- */

static const struct bytes special_words[] = {
    [SPECIAL_NONE] = {0},
    [SPECIAL_NAN] = {"nan", 3},
    [SPECIAL_ABOVE] = {"infinity", 8},
    [SPECIAL_BELOW] = {"neg_infinity", 12},
};

static struct bytes inside(struct json_value string)
{
    return string.type == JSON_TYPE_STRING ? bytes_from(string.raw.data + 1, string.raw.len - 2)
                                           : (struct bytes){0};
}

static enum special special_word(struct bytes word)
{
    enum special special = SPECIAL_BELOW;
    while (special && !json_equal_text(word, special_words[special]))
        special--;
    return special;
}

/* {"__type__": "special_float", "value": "nan"}, or {"__type__": "nan"}. */
static enum special special_object(struct bytes object)
{
    struct json_cursor cursor = {0};
    struct bytes name, kind = {0}, word = {0};
    struct json_value value;
    while (json_next(object, &cursor, &name, &value)) {
        if (json_equal_text(name, BYTES("__type__")))
            kind = inside(value);
        else if (json_equal_text(name, BYTES("value")))
            word = inside(value);
    }
    return special_word(json_equal_text(kind, BYTES("special_float")) ? word : kind);
}

static enum special special_of(struct json_value value)
{
    static const struct bytes names[] = {
        {0}, {"NaN", 3}, {"Infinity", 8}, {"-Infinity", 9}}; /* as of enum special */
    if (value.type == JSON_TYPE_OBJECT)
        return special_object(value.raw);
    enum special special = value.type == JSON_TYPE_STRING ? SPECIAL_BELOW : SPECIAL_NONE;
    while (special && !bytes_equal(inside(value), names[special]))
        special--;
    return special;
}

static bool has_fraction_or_exponent(struct bytes raw)
{
    return memchr(raw.data, '.', raw.len) || memchr(raw.data, 'e', raw.len) ||
           memchr(raw.data, 'E', raw.len);
}

static bool is_float(struct json_value value)
{
    if (value.type != JSON_TYPE_NUMBER)
        return special_of(value) != SPECIAL_NONE;
    struct decimal number = decimal_read(value.raw);
    return decimal_fits_double(&number);
}

static bool add_float(struct buffer *text, struct json_value value)
{
    if (!is_float(value))
        return false;
    enum special special = special_of(value);
    if (special) {
        buffer_printf(text, "{\"__type__\":\"special_float\",\"__schema__\":1,\"value\":\"%s\"}",
                      special_words[special].data);
        return true;
    }
    buffer_add(text, value.raw);
    buffer_add_string(text, has_fraction_or_exponent(value.raw) ? "" : ".0");
    return true;
}

static void add_whole(struct buffer *text, const struct decimal *number)
{
    size_t left = number->count;
    buffer_add_string(text, number->count && number->negative ? "-" : "");
    for (const char *at = number->digits; left > 0; at++) {
        if (*at == '.')
            continue;
        buffer_add(text, bytes_from(at, 1));
        left--;
    }
    for (int64_t i = (int64_t)number->count; i < number->high; i++)
        buffer_add_string(text, "0");
    buffer_add_string(text, number->count ? "" : "0");
}

static bool add_integer(struct buffer *text, struct json_value value, struct variable_fault *fault)
{
    if (value.type != JSON_TYPE_NUMBER)
        return refuse(fault, "an integer");
    struct decimal number = decimal_read(value.raw);
    if (!decimal_is_whole(&number))
        return refuse(fault, "a whole number: it has a fraction");
    if (!has_fraction_or_exponent(value.raw))
        buffer_add(text, value.raw);
    else if (number.high > WHOLE_DIGITS_MAX)
        return refuse(fault, "an integer of at most 400 digits");
    else
        add_whole(text, &number);
    return true;
}

/* --- lists of numbers --- */

static bool add_embedding(struct buffer *text, struct json_value value,
                          struct variable_fault *fault)
{
    struct json_cursor cursor = {0};
    struct bytes name;
    struct json_value item;
    bool first = true;
    if (value.type != JSON_TYPE_ARRAY)
        return refuse(fault, "a list of floats");
    buffer_add_string(text, "[");
    while (json_next(value.raw, &cursor, &name, &item)) {
        buffer_add_string(text, first ? "" : ",");
        if (!add_float(text, item))
            return refuse(fault, "a list of nothing but floats");
        first = false;
    }
    buffer_add_string(text, "]");
    return true;
}

/* How many elements a tensor of that shape has. False: it is none. */
static bool read_shape(struct json_value shape, uint64_t *out_count)
{
    struct json_cursor cursor = {0};
    struct bytes name;
    struct json_value item;
    int64_t length = 0;
    if (shape.type != JSON_TYPE_ARRAY)
        return false;
    *out_count = 1;
    while (json_next(shape.raw, &cursor, &name, &item)) {
        if (item.type != JSON_TYPE_NUMBER || !json_to_int(item.raw, &length) || length < 0 ||
            __builtin_mul_overflow(*out_count, (uint64_t)length, out_count))
            return false;
    }
    return true;
}

static bool count_numbers(struct json_value data, uint64_t *out_count)
{
    struct json_cursor cursor = {0};
    struct bytes name;
    struct json_value item;
    if (data.type != JSON_TYPE_ARRAY)
        return false;
    *out_count = 0;
    while (json_next(data.raw, &cursor, &name, &item)) {
        if (item.type == JSON_TYPE_STRING || !is_float(item)) /* strings are not translated here */
            return false;
        ++*out_count;
    }
    return true;
}

static bool add_tensor(struct buffer *text, struct json_value value, struct variable_fault *fault)
{
    struct json_cursor cursor = {0};
    struct bytes name;
    struct json_value item, shape = {0}, data = {0};
    uint64_t wanted, found;
    if (value.type != JSON_TYPE_OBJECT)
        return refuse(fault, "an object with shape and data");
    while (json_next(value.raw, &cursor, &name, &item)) {
        if (json_equal_text(name, BYTES("shape")))
            shape = item;
        else if (json_equal_text(name, BYTES("data")))
            data = item;
    }
    if (!read_shape(shape, &wanted))
        return refuse(fault, "an object whose shape is a list of lengths");
    if (!count_numbers(data, &found))
        return refuse(fault, "an object whose data is a list of floats");
    if (wanted != found)
        return variable_fault(fault, "value", "has %llu numbers where its shape wants %llu",
                              (unsigned long long)found, (unsigned long long)wanted);
    buffer_add(text, value.raw);
    return true;
}

/* --- all types --- */

static bool add_plain(struct buffer *text, struct json_value value, enum json_type wanted,
                      const char *name, struct variable_fault *fault)
{
    if (value.type != wanted)
        return refuse(fault, name);
    buffer_add(text, value.raw);
    return true;
}

static bool add_value(struct buffer *text, enum variable_type type, struct json_value value,
                      struct variable_fault *fault)
{
    switch (type) {
    case VARIABLE_FLOAT:
        return add_float(text, value) ||
               refuse(fault, value.type == JSON_TYPE_NUMBER ? "a float: no double is so large"
                                                            : "a float");
    case VARIABLE_INTEGER:
        return add_integer(text, value, fault);
    case VARIABLE_STRING:
        return add_plain(text, value, JSON_TYPE_STRING, "a string", fault);
    case VARIABLE_MODULE:
        return add_plain(text, value, JSON_TYPE_STRING, "a module's name", fault);
    case VARIABLE_BOOLEAN:
        return add_plain(text, value, JSON_TYPE_BOOL, "true or false", fault);
    case VARIABLE_LIST:
        return add_plain(text, value, JSON_TYPE_ARRAY, "a list", fault);
    case VARIABLE_MAP:
        return add_plain(text, value, JSON_TYPE_OBJECT, "a map", fault);
    case VARIABLE_EMBEDDING:
        return add_embedding(text, value, fault);
    case VARIABLE_TENSOR:
        return add_tensor(text, value, fault);
    case VARIABLE_ANY:
    case VARIABLE_CHOICE:
        break;
    }
    buffer_add(text, value.raw);
    return true;
}

static enum variable_type suggested_by(struct json_value value)
{
    static const enum variable_type types[] = {
        [JSON_TYPE_NULL] = VARIABLE_ANY,     [JSON_TYPE_BOOL] = VARIABLE_BOOLEAN,
        [JSON_TYPE_NUMBER] = VARIABLE_FLOAT, [JSON_TYPE_STRING] = VARIABLE_STRING,
        [JSON_TYPE_ARRAY] = VARIABLE_LIST,   [JSON_TYPE_OBJECT] = VARIABLE_MAP,
    };
    if (value.type == JSON_TYPE_NUMBER && !has_fraction_or_exponent(value.raw))
        return VARIABLE_INTEGER;
    if (value.type == JSON_TYPE_OBJECT && special_object(value.raw))
        return VARIABLE_FLOAT;
    return types[value.type];
}

/* What a variable is, besides its value. */
struct nature {
    enum variable_type type;
    bool declared;
    struct bytes constraints;
};

static bool find_nature(const struct variable_write *write, const struct variable *old,
                        struct json_value value, struct nature *out_nature,
                        struct variable_fault *fault)
{
    bool declared = old && old->declared;
    enum variable_type type = declared ? old->type : suggested_by(value);
    if (write->type.len && !variable_type_find(write->type, &type))
        return variable_fault(fault, "type", "is none that there is");
    out_nature->type = type;
    out_nature->declared = declared || write->type.len || write->constraints.len;
    out_nature->constraints = write->constraints;
    if (!write->constraints.len && old && old->type == type)
        out_nature->constraints = old->constraints;
    return true;
}

static struct variable *join(const struct nature *nature, struct bytes name, struct bytes value,
                             uint64_t version)
{
    struct bytes constraints = nature->constraints;
    struct variable *variable =
        mem_alloc(sizeof *variable + name.len + value.len + constraints.len);
    char *at = (char *)(variable + 1);
    if (value.len) /* always: it is a JSON text */
        memcpy(at + name.len, value.data, value.len);
    *variable = (struct variable){
        .type = nature->type,
        .declared = nature->declared,
        .version = version,
        .name = bytes_from(memcpy(at, name.data, name.len), name.len),
        .value = bytes_from(at + name.len, value.len),
    };
    if (constraints.len)
        variable->constraints = bytes_from(
            memcpy(at + name.len + value.len, constraints.data, constraints.len), constraints.len);
    return variable;
}

struct variable *variable_new(const struct variable_write *write, const struct variable *old,
                              uint64_t version, struct variable_fault *out_fault)
{
    struct json_value value;
    struct json_error error = {0};
    struct nature nature = {0};
    struct buffer text = {0};
    struct variable *variable = NULL;
    if (!variable_is_name(write->name))
        variable_fault(
            out_fault, "name",
            "must have 1 to 128 letters, digits, or _ . : - of which only _ may come first");
    else if (!json_check(write->value, VARIABLE_MAX_DEPTH, &value, &error))
        variable_fault(out_fault, "value", "is not JSON at byte %zu: %s", error.offset,
                       error.reason);
    else if (find_nature(write, old, value, &nature, out_fault) &&
             add_value(&text, nature.type, value, out_fault) &&
             constraints_check(&nature.constraints, nature.type, buffer_bytes(&text),
                               nature.type == VARIABLE_FLOAT ? special_of(value) : SPECIAL_NONE,
                               out_fault))
        variable = join(&nature, write->name, buffer_bytes(&text), version);
    buffer_deinit(&text);
    return variable;
}
