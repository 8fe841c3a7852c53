#include "base/buffer.h"
#include "base/schema.h"

#include "run.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct schema_faults faults;

/* A schema without problems. */
static struct schema *compile(const char *text)
{
    struct schema *schema = schema_compile(bytes_of(text), &faults);
    ck_assert_msg(schema && faults.count == 0, "%s: %s", text,
                  faults.count ? faults.list[0].detail : "");
    return schema;
}

static bool check(const char *text, const char *value)
{
    struct schema *schema = compile(text);
    bool good = schema_check(schema, bytes_of(value), &faults);
    schema_free(&schema);
    return good;
}

/* --- what fits and what does not --- */

struct row {
    const char *schema, *fits, *breaks; /* values, parted by spaces */
};

static const struct row rows[] = {
    {"true", "1 {} null", ""},
    {"false", "", "1 {} null"},
    {"{}", "1 {\"a\":[]} \"x\"", ""},
    {"{\"type\":\"integer\"}", "1 -0 1.0 10e-1 1e400", "1.5 \"1\" true null [] {}"},
    {"{\"type\":\"number\"}", "1 1.5 -1e-9", "\"1\" false null"},
    {"{\"type\":\"boolean\"}", "true false", "0 1 \"true\""},
    {"{\"type\":\"null\"}", "null", "0 false \"\""},
    {"{\"type\":\"string\"}", "\"\" \"x\"", "1 null"},
    {"{\"type\":\"array\"}", "[] [1]", "{} \"[]\""},
    {"{\"type\":\"object\"}", "{} {\"a\":1}", "[] null"},
    {"{\"type\":[\"integer\",\"null\"]}", "1 null", "1.5 \"x\""},
    {"{\"enum\":[1,\"a\",null,[1,2],{\"a\":1,\"b\":2}]}",
     "1.0 \"a\" \"\\u0061\" null [1.0,2] {\"b\":2,\"a\":1}", "2 \"b\" false [2,1] {\"a\":1}"},
    {"{\"const\":0}", "0 0.0 -0 0e9", "1 false null \"0\""},
    {"{\"const\":9007199254740993}", "9007199254740993", "9007199254740992"},
    {"{\"minimum\":1}", "1 2 1.0 \"x\"", "0.999999999999999999999 0 -5"},
    {"{\"maximum\":18446744073709551616}", "18446744073709551616 1e19",
     "18446744073709551617 1e20"},
    {"{\"exclusiveMinimum\":0}", "1e-400 1", "0 -0.0 -1"},
    {"{\"exclusiveMaximum\":-1.5}", "-2 -1.51", "-1.5 -1 0"},
    {"{\"multipleOf\":0.01}", "0.07 19.99 1e300 0", "0.075 1e-3"},
    {"{\"multipleOf\":7}", "21 0 -14 7e20", "20 7.5 1e20"},
    {"{\"minLength\":2}", "\"ab\" \"\xc3\xa9\xf0\x9f\x98\xb9\" \"\\n\\n\" 1",
     "\"a\" \"\xf0\x9f\x98\xb9\" \"\\ud83d\\ude39\" \"\""},
    {"{\"maxLength\":2}", "\"ab\" \"\\ud83d\\ude39\\u0041\"", "\"abc\" \"\\n\\n\\n\""},
    {"{\"pattern\":\"^a+$\"}", "\"a\" \"aa\" \"\\u0061\" 1", "\"\" \"b\" \"a\\n\""},
    {"{\"pattern\":\"b\"}", "\"abc\"", "\"ac\""},
    {"{\"pattern\":\"^.\\\\u00e9$\"}", "\"\xf0\x9f\x98\xb9\xc3\xa9\"", "\"\xc3\xa9\""},
    {"{\"format\":\"date-time\"}", "\"x\" 1", ""},
    {"{\"items\":{\"type\":\"integer\"}}", "[] [1,2] {}", "[\"x\"] [1,null]"},
    {"{\"prefixItems\":[{\"type\":\"integer\"},{\"type\":\"string\"}],\"items\":false}",
     "[] [1] [1,\"a\"]", "[1,2] [1,\"a\",3]"},
    {"{\"minItems\":1,\"maxItems\":2}", "[1] [1,[2,3]] 5", "[] [1,2,3]"},
    {"{\"uniqueItems\":true}", "[] [1,2] [1,true] [{\"a\":1},{\"a\":2}]",
     "[1,1.0] [[1],[1]] [{\"a\":1,\"b\":2},{\"b\":2,\"a\":1}] [\"a\",\"\\u0061\"]"},
    {"{\"uniqueItems\":true}", "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,\"1\"]",
     "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,1e0]"},
    {"{\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":true}}", "{} {\"a\":1} {\"c\":\"x\"} 3",
     "{\"a\":\"x\"} {\"b\":1,\"\\u0061\":\"x\"} {\"a\":1,\"a\":\"x\"} {\"a\":\"x\",\"a\":1}"},
    {"{\"required\":[\"a\",\"b\"]}", "{\"b\":1,\"a\":null} 7 {\"a\":1,\"\\u0062\":2}",
     "{} {\"a\":1} {\"a\":1,\"a\":2}"},
    {"{\"properties\":{\"a\":true},\"additionalProperties\":false}", "{} {\"a\":1}",
     "{\"b\":1} {\"a\":1,\"\":2}"},
    {"{\"required\":[\"b\"],\"additionalProperties\":{\"type\":\"integer\"}}", "{\"b\":1,\"c\":2}",
     "{\"b\":\"x\"} {\"b\":1,\"c\":null}"},
    {"{\"minProperties\":1,\"maxProperties\":2}", "{\"a\":1}", "{} {\"a\":1,\"b\":2,\"c\":3}"},
    {"{\"patternProperties\":{\"^x\":{\"type\":\"integer\"}},\"additionalProperties\":false}",
     "{\"x1\":1}", "{\"x1\":\"\"} {\"y\":1}"},
    {"{\"propertyNames\":{\"maxLength\":1}}", "{\"a\":1}", "{\"ab\":1}"},
    {"{\"allOf\":[{\"minimum\":1},{\"maximum\":2}]}", "1 2", "0 3"},
    {"{\"anyOf\":[{\"type\":\"integer\"},{\"minLength\":2}]}", "1 \"ab\"", "\"a\""},
    {"{\"oneOf\":[{\"minimum\":1},{\"maximum\":2}]}", "0 3", "1 2"},
    {"{\"not\":{\"type\":\"string\"}}", "1", "\"x\""},
    {"{\"$ref\":\"#/$defs/a%25~1b\",\"$defs\":{\"a%/b\":{\"type\":\"null\"}}}", "null", "1"},
    {"{\"properties\":{\"next\":{\"$ref\":\"#\"}},\"additionalProperties\":false}",
     "{} {\"next\":{\"next\":{}}}", "{\"next\":{\"other\":1}} {\"x\":1}"},
    {"{\"items\":{\"type\":\"string\"}}", "[{\"__type__\":\"atom\",\"value\":\"x\"}]",
     "[{\"__type__\":\"bytes\",\"data\":\"\"}] [{\"__type__\":\"date\",\"value\":\"2024-05-06\"}] "
     "[{\"__type__\":\"set\",\"elements\":[]}] [{\"__type__\":\"x\"}] [{\"__type__\":1}] [{}] "
     "[{\"__type__\":\"ref\",\"id\":\"1\"}]"},
    {"{\"items\":{\"type\":\"string\",\"maxLength\":2,\"pattern\":\"^a\"}}",
     "[{\"__type__\":\"atom\",\"value\":\"ab\"}] [{\"value\":\"a\",\"__type__\":\"ato\\u006d\"}]",
     "[{\"__type__\":\"atom\",\"value\":\"abc\"}] [{\"__type__\":\"atom\",\"value\":\"b\"}]"},
    {"{\"items\":{\"type\":\"string\",\"enum\":[\"a\",\"b\"]}}",
     "[{\"__type__\":\"atom\",\"value\":\"a\"}] "
     "[{\"value\":\"x\",\"__type__\":\"atom\",\"value\":\"a\"}]",
     "[{\"__type__\":\"atom\",\"value\":\"x\"}] "
     "[{\"value\":\"a\",\"__type__\":\"atom\",\"value\":\"x\"}]"},
    {"{\"items\":{\"type\":\"string\",\"format\":\"binary\",\"minLength\":1,\"maxLength\":2}}",
     "[{\"__type__\":\"bytes\",\"data\":\"YQ==\"}] [{\"__type__\":\"binary\",\"value\":\"YWI=\"}] "
     "[\"ab\"]",
     "[{\"__type__\":\"bytes\",\"data\":\"\"}] [{\"__type__\":\"bytes\",\"data\":\"YWJj\"}] "
     "[{\"__type__\":\"time\",\"value\":\"12\"}]"},
    {"{\"items\":{\"type\":\"string\",\"format\":\"date\",\"pattern\":\"^2\"}}",
     "[{\"__type__\":\"date\",\"value\":\"2024-05-06\"}] [\"2024-05-06\"]",
     "[{\"__type__\":\"date\",\"value\":\"1\"}] [{\"__type__\":\"datetime\",\"value\":\"2\"}]"},
    {"{\"items\":{\"type\":\"number\",\"minimum\":0}}",
     "[{\"__type__\":\"infinity\"}] [{\"__type__\":\"special_float\",\"value\":\"infinity\"}]",
     "[{\"__type__\":\"nan\"}] [{\"__type__\":\"special_float\",\"value\":\"neg_infinity\"}] "
     "[{\"__type__\":\"special_float\",\"value\":\"set\"}] [{\"__type__\":\"special_float\"}]"},
    {"{\"items\":{\"type\":\"number\",\"multipleOf\":2}}", "[2]", "[{\"__type__\":\"infinity\"}]"},
    {"{\"items\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"maxItems\":2}}",
     "[{\"__type__\":\"tuple\",\"elements\":[1,2]}] [{\"__type__\":\"set\",\"value\":[]}]",
     "[{\"__type__\":\"tuple\",\"elements\":[\"x\"]}] "
     "[{\"__type__\":\"set\",\"elements\":[1,2,3]}] "
     "[{\"__type__\":\"tuple\",\"elements\":\"nolist\"}] [{\"__type__\":\"tuple\"}] "
     "[{\"__type__\":\"frozenset\",\"elements\":[{\"__type__\":\"nan\"}]}]"},
    {"{\"items\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"null\"}},\"required\":["
     "\"a\"],"
     "\"additionalProperties\":{\"type\":\"integer\"}}}",
     "[{\"__type__\":\"dict\",\"pairs\":[[\"a\",null],[1,2],[{\"__type__\":\"tuple\",\"elements\":["
     "]},3]]}] "
     "[{\"__type__\":\"dict\",\"pairs\":[[{\"__type__\":\"atom\",\"value\":\"a\"},null]]}]",
     "[{\"__type__\":\"dict\",\"pairs\":[]}] [{\"__type__\":\"dict\",\"pairs\":[[\"a\",1]]}] "
     "[{\"__type__\":\"dict\",\"pairs\":[[\"a\",null],[1,\"x\"]]}] "
     "[{\"__type__\":\"dict\",\"pairs\":[[\"a\",null],\"bc\"]}] "
     "[{\"__type__\":\"dict\",\"pairs\":[[\"a\",null],[1]]}]"},
    {"{\"items\":{\"type\":\"object\"}}",
     "[{\"__type__\":\"ref\",\"id\":\"1\"}] [{\"__type__\":\"x\"}]",
     "[{\"__type__\":\"set\",\"elements\":[]}] [{\"__type__\":\"atom\"}]"},
    {"{\"items\":{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"null\"}]}}", "[1]",
     "[{\"__type__\":\"nan\"}] [{\"__type__\":\"complex\",\"real\":1,\"imag\":1}] "
     "[{\"__type__\":\"ref\",\"id\":\"1\"}]"},
    {"{\"items\":{\"anyOf\":[{\"type\":\"string\",\"format\":\"time\"},{\"type\":\"null\"}]}}",
     "[{\"__type__\":\"time\",\"value\":\"12:30\"}] [null]",
     "[{\"__type__\":\"date\",\"value\":\"2\"}]"},
    {"{\"items\":{\"minLength\":9}}",
     "[{\"__type__\":\"complex\",\"real\":1,\"imag\":1}] [{\"__type__\":\"set\",\"elements\":[]}]",
     "[{\"__type__\":\"atom\",\"value\":\"a\"}]"},
    {"{\"type\":\"array\"}", "[]", "{\"__type__\":\"tuple\",\"elements\":[]}"},
    {"{\"definitions\":{\"a\":{\"minimum\":1}},\"items\":{\"$ref\":\"#/definitions/a\"}}", "[1]",
     "[0]"},
};

static void check_each(const char *schema, const char *values, bool expected)
{
    char text[1024], *rest = NULL;
    ck_assert_uint_lt(strlen(values), sizeof text);
    memcpy(text, values, strlen(values) + 1);
    for (char *value = strtok_r(text, " ", &rest); value; value = strtok_r(NULL, " ", &rest))
        ck_assert_msg(check(schema, value) == expected, "%s %s %s", value,
                      expected ? "must fit" : "must not fit", schema);
}

START_TEST(each_keyword_admits_what_fits_it)
{
    check_each(rows[_i].schema, rows[_i].fits, true);
}
END_TEST

START_TEST(each_keyword_refuses_what_breaks_it)
{
    check_each(rows[_i].schema, rows[_i].breaks, false);
}
END_TEST

/* --- faults --- */

static const struct {
    const char *schema, *value, *pointer, *keyword, *detail;
} tellings[] = {
    {"{\"type\":\"integer\"}", "\"5\"", "", "type", "expected an integer, found the string \"5\""},
    {"{\"type\":[\"null\",\"integer\",\"string\"]}", "[]", "", "type",
     "expected a string or an integer or null, found an array"},
    {"{\"items\":{\"properties\":{\"a/b~\":{\"minimum\":3}}}}", "[{},{\"a/b~\":2}]", "/1/a~1b~0",
     "minimum", "expected at least 3, found the number 2"},
    {"{\"required\":[\"n\"]}", "{}", "/n", "required", "is missing"},
    {"{\"additionalProperties\":false}", "{\"\\u00e9\":1}", "/\xc3\xa9", "additionalProperties",
     "there is no member of that name"},
    {"{\"enum\":[\"a\",2]}", "true", "", "enum", "expected one of \"a\", 2, found true"},
    {"{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"null\"}]}", "\"x\"", "", "type",
     "expected an integer or null, found the string \"x\""},
    {"{\"anyOf\":[{\"$ref\":\"#/$defs/m\"},{\"type\":\"null\"}],\"$defs\":{\"m\":{\"type\":"
     "\"object\",\"properties\":{\"a\":{\"type\":\"string\"}}}}}",
     "{\"a\":1}", "/a", "type", "expected a string, found the number 1"},
    {"{\"items\":{\"items\":{\"type\":\"integer\"}}}",
     "[{\"__type__\":\"tuple\",\"elements\":[1,\"x\"]}]", "/0/elements/1", "type",
     "expected an integer, found the string \"x\""},
    {"{\"items\":{\"additionalProperties\":{\"type\":\"integer\"}}}",
     "[{\"__type__\":\"dict\",\"pairs\":[[1,\"x\"]]}]", "/0/pairs/0/1", "type",
     "expected an integer, found the string \"x\""},
    {"{\"items\":{\"type\":\"string\"}}", "[{\"__type__\":\"bytes\",\"data\":\"\"}]", "/0", "type",
     "expected a string, found a tagged bytes"},
    {"{\"items\":{\"type\":\"array\"}}", "[{\"__type__\":\"set\"}]", "/0", "type",
     "a tagged set that is not well formed"},
    {"{\"items\":{\"minimum\":0}}", "[{\"__type__\":\"neg_infinity\"}]", "/0", "minimum",
     "expected at least 0, found neg_infinity"},
    {"{\"anyOf\":[{\"minimum\":5},{\"maximum\":1}]}", "3", "", "anyOf",
     "the number 3 fits none of the 2 alternatives"},
};

START_TEST(fault_says_where_and_what)
{
    ck_assert(!check(tellings[_i].schema, tellings[_i].value));
    ck_assert_uint_eq(faults.count, 1);
    ck_assert_str_eq(faults.list[0].pointer, tellings[_i].pointer);
    ck_assert_str_eq(faults.list[0].keyword, tellings[_i].keyword);
    ck_assert_str_eq(faults.list[0].detail, tellings[_i].detail);
}
END_TEST

START_TEST(all_faults_are_told)
{
    ck_assert(!check("{\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{\"maximum\":1}},"
                     "\"required\":[\"c\"]}",
                     "{\"a\":1,\"b\":2}"));
    ck_assert_uint_eq(faults.count, 3);
    ck_assert_str_eq(faults.list[0].pointer, "/a");
    ck_assert_str_eq(faults.list[1].pointer, "/b");
    ck_assert_str_eq(faults.list[2].pointer, "/c");
}
END_TEST

START_TEST(faults_end_with_the_list)
{
    ck_assert(!check("{\"items\":{\"type\":\"null\"}}",
                     "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18]"));
    ck_assert_uint_eq(faults.count, SCHEMA_MAX_FAULTS);
    ck_assert(faults.more);
}
END_TEST

static char *repeated(const char *start, const char *piece, size_t times, const char *end)
{
    static struct buffer text;
    text.len = 0;
    buffer_add_string(&text, start);
    for (size_t i = 0; i < times; i++)
        buffer_add_string(&text, piece);
    buffer_add(&text, bytes_from(end, strlen(end) + 1));
    return text.data;
}

START_TEST(long_values_and_pointers_are_cut)
{
    ck_assert(!check("{\"additionalProperties\":{\"type\":\"null\"}}",
                     repeated("{\"", "\xc3\xa9", 200, "\":[]}")));
    ck_assert_uint_le(strlen(faults.list[0].pointer), SCHEMA_POINTER_BYTES);
    ck_assert(!check("{\"type\":\"null\"}", repeated("\"", "\xc3\xa9", 200, "\"")));
    ck_assert_uint_le(strlen(faults.list[0].detail), 120);
}
END_TEST

/* --- problems of a schema --- */

static const struct {
    const char *schema, *pointer, *keyword;
    const char *fits, *breaks; /* a value, all the same */
} troubles[] = {
    {"{\"contains\":{},\"type\":\"array\"}", "/contains", "unsupported", "[]", "1"},
    {"{\"properties\":{\"a\":{\"x-y\":1}},\"type\":\"object\"}", "/properties/a/x-y", "unsupported",
     "{\"a\":1}", "[]"},
    {"{\"type\":\"int\",\"minimum\":1}", "/type", "type", "\"x\"", "0"},
    {"{\"minimum\":\"1\",\"maximum\":3}", "/minimum", "minimum", "-5", "4"},
    {"{\"minLength\":-1,\"maxLength\":1}", "/minLength", "minLength", "\"\"", "\"ab\""},
    {"{\"pattern\":\"(\",\"type\":\"string\"}", "/pattern", "pattern", "\"x\"", "1"},
    {"{\"patternProperties\":{\"(\":{}},\"additionalProperties\":false,\"maxProperties\":1}",
     "/patternProperties/(", "pattern", "{\"a\":1}", "{\"a\":1,\"b\":2}"},
    {"{\"properties\":[],\"additionalProperties\":false,\"maxProperties\":1}", "/properties",
     "properties", "{\"a\":1}", "{\"a\":1,\"b\":2}"},
    {"{\"$ref\":\"#/$defs/none\",\"type\":\"null\"}", "/$ref", "$ref", "null", "1"},
    {"{\"$ref\":\"https://example.com/x\",\"type\":\"null\"}", "/$ref", "$ref", "null", "1"},
    {"{\"$ref\":\"#/type\",\"type\":\"null\"}", "", "$ref", "null", "1"},
    {"{\"$ref\":\"#\",\"type\":\"null\"}", "", "$ref", "null", "1"},
    {"{\"properties\":{\"a\":{\"x-unchecked\":\"complex\"}},\"type\":\"object\"}",
     "/properties/a/x-unchecked", "x-unchecked", "{\"a\":1}", "1"},
    {"{\"not\":{\"if\":{}},\"type\":\"null\"}", "/not/if", "unsupported", "null", "1"},
    {"{\"oneOf\":[{\"if\":{}},true],\"type\":\"null\"}", "/oneOf/0/if", "unsupported", "null", "1"},
    {"{\"multipleOf\":0,\"minimum\":1}", "/multipleOf", "multipleOf", "1", "0"},
    {"{\"items\":[{}],\"type\":\"array\"}", "/items", "schema", "[1]", "1"},
};

START_TEST(problem_is_named_and_the_rest_still_holds)
{
    struct schema *schema = schema_compile(bytes_of(troubles[_i].schema), &faults);
    ck_assert_ptr_nonnull(schema);
    ck_assert_uint_ge(faults.count, 1);
    ck_assert_str_eq(faults.list[0].pointer, troubles[_i].pointer);
    ck_assert_str_eq(faults.list[0].keyword, troubles[_i].keyword);
    ck_assert(schema_check(schema, bytes_of(troubles[_i].fits), &faults));
    ck_assert(!schema_check(schema, bytes_of(troubles[_i].breaks), &faults));
    schema_free(&schema);
}
END_TEST

static void assert_unusable(const char *text)
{
    ck_assert_ptr_null(schema_compile(bytes_of(text), &faults));
    ck_assert_uint_eq(faults.count, 1);
}

START_TEST(what_cannot_be_used_at_all_is_refused)
{
    assert_unusable("");
    assert_unusable("{");
    assert_unusable("{\"$schema\":\"http://json-schema.org/draft-04/schema#\"}");
    assert_unusable(repeated("{\"title\":\"", "a", SCHEMA_MAX_BYTES, "\"}"));
    assert_unusable(repeated("", "{\"not\":", SCHEMA_MAX_NESTING + 1, ""));
}
END_TEST

START_TEST(too_many_subschemas_are_told_once)
{
    const char *text = repeated("{\"prefixItems\":[", "{},", SCHEMA_MAX_NODES + 5, "{}]}");
    struct schema *schema = schema_compile(bytes_of(text), &faults);
    ck_assert_ptr_nonnull(schema);
    ck_assert_uint_eq(faults.count, 1);
    schema_free(&schema);
}
END_TEST

START_TEST(too_many_schemas_for_one_value_are_cut)
{
    struct buffer text = {0};
    for (int i = 0; i < SCHEMA_MAX_CHAIN + 1; i++)
        buffer_add_string(&text, "{\"allOf\":[");
    buffer_add_string(&text, "{}");
    for (int i = 0; i < SCHEMA_MAX_CHAIN + 1; i++)
        buffer_add_string(&text, "]}");
    struct schema *schema = schema_compile(buffer_bytes(&text), &faults);
    buffer_deinit(&text);
    ck_assert_uint_eq(faults.count, 1);
    ck_assert(schema_check(schema, BYTES("1"), &faults));
    schema_free(&schema);
}
END_TEST

/* --- what checking may cost --- */

START_TEST(costly_pattern_is_refused)
{
    ck_assert(
        !check("{\"pattern\":\"^(([a-z])+.)+[A-Z]([a-z])+$\"}", repeated("\"", "a", 5000, "\"")));
    ck_assert_ptr_nonnull(strstr(faults.list[0].detail, "takes too long"));
}
END_TEST

START_TEST(costly_pattern_does_not_pass_through_not)
{
    ck_assert(!check("{\"not\":{\"pattern\":\"^(([a-z])+.)+[A-Z]([a-z])+$\"}}",
                     repeated("\"", "a", 5000, "\"")));
}
END_TEST

START_TEST(patterns_that_cost_little_each_are_refused_when_there_are_very_many)
{
    const char *value = repeated("{", "\"kkkkkkkkkkkkkkkkkkkkkkkk1k\":1,", 50000, "\"k\":1}");
    ck_assert(!check("{\"patternProperties\":{\"^(k|kk)+1$\":{}}}", value));
    ck_assert_ptr_nonnull(strstr(faults.list[0].detail, "takes too long"));
}
END_TEST

/* With each number from 1 on between `before` and `after`. */
static char *numbered(const char *start, const char *before, const char *after, unsigned count,
                      const char *end)
{
    static struct buffer text;
    text.len = 0;
    buffer_add_string(&text, start);
    for (unsigned i = 1; i < count; i++)
        buffer_printf(&text, "%s%u%s", before, i, after);
    buffer_add(&text, bytes_from(end, strlen(end) + 1));
    return text.data;
}

START_TEST(many_values_are_looked_for_among_many)
{
    const char *schema = numbered("{\"items\":{\"enum\":[0", ",", "", 10000, "]}}");
    ck_assert(check(schema, repeated("[", "9999,", 100000, "9.999e3]")));
    ck_assert(!check(schema, repeated("[", "9999,", 100000, "10000]")));
    ck_assert_str_eq(faults.list[0].pointer, "/100000");
}
END_TEST

START_TEST(nothing_is_one_of_none)
{
    ck_assert(!check("{\"enum\":[]}", "1"));
    ck_assert_str_eq(faults.list[0].detail, "expected one of nothing, found the number 1");
}
END_TEST

START_TEST(what_cannot_be_compared_in_time_is_not_said_to_differ)
{
    const char *value = numbered("{\"n\":1", ",\"n", "\":1", 3000, "}");
    ck_assert(!check(repeated("{\"const\":", value, 1, "}"), value));
    ck_assert_uint_eq(faults.count, 1);
    ck_assert_str_eq(faults.list[0].detail, "takes too long to be checked");
}
END_TEST

START_TEST(long_string_may_match_a_pattern)
{
    ck_assert(check("{\"pattern\":\"^(a|b)*$\"}", repeated("\"", "ab", 5000, "\"")));
}
END_TEST

START_TEST(alternatives_that_double_at_each_level_are_refused)
{
    ck_assert(!check("{\"anyOf\":[{\"items\":{\"$ref\":\"#\"}},{\"items\":{\"$ref\":\"#\"}}],"
                     "\"not\":{\"const\":1}}",
                     "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"
                     "]]]]"));
    ck_assert_str_eq(faults.list[0].detail, "takes too long to be checked");
}
END_TEST

START_TEST(large_array_is_checked_whole)
{
    ck_assert(check("{\"items\":{\"type\":\"integer\"}}", repeated("[", "1,", 1000000, "1]")));
    ck_assert(!check("{\"items\":{\"type\":\"integer\"}}", repeated("[", "1,", 1000000, "null]")));
    ck_assert_str_eq(faults.list[0].pointer, "/1000000");
}
END_TEST

START_TEST(too_many_elements_are_not_compared)
{
    ck_assert(!check("{\"uniqueItems\":true}", repeated("[", "1,", SCHEMA_MAX_UNIQUE, "1]")));
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("schema");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, each_keyword_admits_what_fits_it, 0, COUNT(rows));
    tcase_add_loop_test(tests, each_keyword_refuses_what_breaks_it, 0, COUNT(rows));
    tcase_add_loop_test(tests, fault_says_where_and_what, 0, COUNT(tellings));
    tcase_add_test(tests, all_faults_are_told);
    tcase_add_test(tests, faults_end_with_the_list);
    tcase_add_test(tests, long_values_and_pointers_are_cut);
    tcase_add_loop_test(tests, problem_is_named_and_the_rest_still_holds, 0, COUNT(troubles));
    tcase_add_test(tests, what_cannot_be_used_at_all_is_refused);
    tcase_add_test(tests, too_many_subschemas_are_told_once);
    tcase_add_test(tests, too_many_schemas_for_one_value_are_cut);
    tcase_add_test(tests, costly_pattern_is_refused);
    tcase_add_test(tests, costly_pattern_does_not_pass_through_not);
    tcase_add_test(tests, patterns_that_cost_little_each_are_refused_when_there_are_very_many);
    tcase_add_test(tests, many_values_are_looked_for_among_many);
    tcase_add_test(tests, nothing_is_one_of_none);
    tcase_add_test(tests, what_cannot_be_compared_in_time_is_not_said_to_differ);
    tcase_add_test(tests, long_string_may_match_a_pattern);
    tcase_add_test(tests, alternatives_that_double_at_each_level_are_refused);
    tcase_add_test(tests, large_array_is_checked_whole);
    tcase_add_test(tests, too_many_elements_are_not_compared);
    return run_case(tests, "schema");
}
