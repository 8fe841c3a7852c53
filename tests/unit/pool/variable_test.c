/* One variable: types, what fits them, constraints. */
#include "pool/variable.h"

#include "../base/run.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct variable_fault fault;

/* The value as it is kept, or "! " and what is wrong. Static. */
static const char *kept(const struct variable_write *write, const struct variable *old)
{
    static char text[1024];
    struct variable *variable = variable_new(write, old, 1, &fault);
    if (variable)
        snprintf(text, sizeof text, "%s %.*s", variable_type_name(variable->type),
                 (int)variable->value.len, variable->value.data);
    else
        snprintf(text, sizeof text, "! %s", fault.member);
    free(variable);
    return text;
}

static const char *kept_as(const char *type, const char *constraints, const char *value)
{
    return kept(&(struct variable_write){.name = BYTES("x"),
                                         .value = bytes_of(value),
                                         .type = bytes_of(type),
                                         .constraints = bytes_of(constraints)},
                NULL);
}

#define NAN_TEXT "{\"__type__\":\"special_float\",\"__schema__\":1,\"value\":\"nan\"}"
#define ABOVE_TEXT "{\"__type__\":\"special_float\",\"__schema__\":1,\"value\":\"infinity\"}"
#define BELOW_TEXT "{\"__type__\":\"special_float\",\"__schema__\":1,\"value\":\"neg_infinity\"}"

static const struct {
    const char *type, *value, *kept;
} values[] = {
    {"", "1", "integer 1"},
    {"", "1.0", "float 1.0"},
    {"", " \"a\" ", "string \"a\""},
    {"", "true", "boolean true"},
    {"", "[1, 2]", "list [1, 2]"},
    {"", "{\"a\":1}", "map {\"a\":1}"},
    {"", "null", "any null"},
    {"", "{\"__type__\":\"special_float\",\"value\":\"nan\"}", "float " NAN_TEXT},
    {"", "\"NaN\"", "string \"NaN\""},
    {"any", "\"a\"", "any \"a\""},

    {"float", "3", "float 3.0"},
    {"float", "-0", "float -0.0"},
    {"float", "1e3", "float 1e3"},
    {"float", "\"NaN\"", "float " NAN_TEXT},
    {"float", "\"Infinity\"", "float " ABOVE_TEXT},
    {"float", "\"-Infinity\"", "float " BELOW_TEXT},
    {"float", "{\"__type__\":\"neg_infinity\"}", "float " BELOW_TEXT},
    {"float", "{\"__type__\":\"set\"}", "! value"},
    {"float", "1.7976931348623157e308", "float 1.7976931348623157e308"},
    {"float", "17976931348623157e292", "float 17976931348623157e292"},
    {"float", "1.7976931348623159e308", "! value"},
    {"float", "-1.7976931348623159e308", "! value"},
    {"float", "1e-400", "float 1e-400"},
    {"float", "1e400", "! value"},
    {"", "1e400", "! value"},
    {"any", "1e400", "any 1e400"},
    {"float", "\"1\"", "! value"},
    {"float", "true", "! value"},

    {"integer", "12345678901234567890123", "integer 12345678901234567890123"},
    {"integer", "3.0", "integer 3"},
    {"integer", "-1.50e2", "integer -150"},
    {"integer", "1200e-2", "integer 12"},
    {"integer", "-0.0", "integer 0"},
    {"integer", "1e400", "! value"},
    {"integer", "3.5", "! value"},
    {"integer", "1e-1", "! value"},
    {"integer", "true", "! value"},
    {"integer", "\"3\"", "! value"},

    {"string", "\"\"", "string \"\""},
    {"string", "1", "! value"},
    {"module", "\"dspy.ChainOfThought\"", "module \"dspy.ChainOfThought\""},
    {"module", "[]", "! value"},
    {"boolean", "false", "boolean false"},
    {"boolean", "0", "! value"},
    {"list", "{}", "! value"},
    {"map", "[]", "! value"},

    {"embedding", "[1, 2.5, \"NaN\"]", "embedding [1.0,2.5," NAN_TEXT "]"},
    {"embedding", "[]", "embedding []"},
    {"embedding", "[\"a\"]", "! value"},
    {"embedding", "[[1]]", "! value"},
    {"embedding", "[1, 1e400]", "! value"},
    {"embedding", "1", "! value"},

    {"tensor", "{\"shape\":[2,1],\"data\":[1,2.5]}", "tensor {\"shape\":[2,1],\"data\":[1,2.5]}"},
    {"tensor", "{\"shape\":[],\"data\":[1]}", "tensor {\"shape\":[],\"data\":[1]}"},
    {"tensor", "{\"shape\":[0,9],\"data\":[]}", "tensor {\"shape\":[0,9],\"data\":[]}"},
    {"tensor", "{\"shape\":[2],\"data\":[1]}", "! value"},
    {"tensor", "{\"shape\":[-1],\"data\":[]}", "! value"},
    {"tensor", "{\"shape\":[4294967296,4294967296],\"data\":[]}", "! value"},
    {"tensor", "{\"shape\":[1],\"data\":[\"a\"]}", "! value"},
    {"tensor", "{\"shape\":[1]}", "! value"},
    {"tensor", "{\"data\":[1]}", "! value"},
    {"tensor", "{\"shape\":[1],\"data\":[-1e400]}", "! value"},
    {"tensor", "[1]", "! value"},

    {"choice", "\"a\"", "! constraints"},
    {"number", "1", "! type"},
    {"", "{", "! value"},
    {"", "", "! value"},
    {"", "1 2", "! value"},
};

/* Snakepit 75, 76. */
START_TEST(a_value_takes_the_form_of_its_type_or_is_refused)
{
    ck_assert_str_eq(kept_as(values[_i].type, "", values[_i].value), values[_i].kept);
}
END_TEST

static const struct {
    const char *type, *constraints, *good, *bad;
} constraints[] = {
    {"float", "{\"min\":0,\"max\":1}", "0.5", "1.01"},
    {"float", "{\"min\":0,\"max\":1}", "0", "-0.1"},
    {"float", "{\"min\":0}", "\"Infinity\"", "\"-Infinity\""},
    {"float", "{\"max\":0}", "\"-Infinity\"", "\"NaN\""},
    {"integer", "{\"min\":3}", "3.0", "2"},
    {"string", "{\"min_length\":2}", "\"\\u00fc\\u00fc\"", "\"\\u00fc\""},
    {"string", "{\"max_length\":2}", "\"ab\"", "\"abc\""},
    {"string", "{\"pattern\":\"^a+$\"}", "\"aa\"", "\"ab\""},
    {"string", "{\"choices\":[\"a\",\"b\"]}", "\"b\"", "\"c\""},
    {"module", "{\"pattern\":\"^dspy\\\\.\"}", "\"dspy.X\"", "\"x\""},
    {"list", "{\"min_length\":1,\"max_length\":2}", "[1,2]", "[1,2,3]"},
    {"list", "{\"min_length\":1}", "[[]]", "[]"},
    {"map", "{\"max_length\":1}", "{\"a\":1}", "{\"a\":1,\"b\":2}"},
    {"string", "{\"enum\":[\"a\",\"b\"]}", "\"b\"", "\"c\""},
    {"module", "{\"allowed_modules\":[\"numpy\"]}", "\"numpy\"", "\"os\""},
    {"embedding", "{\"dimension\":2}", "[1,2]", "[1]"},
    {"embedding", "{\"dimensions\":2}", "[1,2]", "[1]"},
    {"embedding", "{\"max_length\":2,\"dimensions\":2}", "[1,2]", "[1,2,3]"},
    {"choice", "{\"enum\":[\"a\",2]}", "2", "\"c\""},
    {"choice", "{\"choices\":[\"a\",2],\"enum\":[2]}", "2", "\"a\""},
    {"embedding", "{\"max_length\":2}", "[1,2]", "[1,2,3]"},
    {"tensor", "{\"shape\":[1,2]}", "{\"shape\":[1,2],\"data\":[1,2]}",
     "{\"shape\":[2,1],\"data\":[1,2]}"},
    {"choice", "{\"choices\":[\"a\",2,null]}", "2.0", "\"c\""},
    {"any", " {} ", "null", ""},
};

/* Snakepit 76. */
START_TEST(a_constraint_lets_good_values_pass_and_no_others)
{
    const char *type = constraints[_i].type, *rules = constraints[_i].constraints;
    ck_assert_msg(kept_as(type, rules, constraints[_i].good)[0] != '!', "%s", fault.detail);
    ck_assert_str_eq(kept_as(type, rules, constraints[_i].bad), "! value");
}
END_TEST

static const struct {
    const char *type, *constraints, *value, *blamed;
} senseless[] = {
    {"float", "{\"min\":\"0\"}", "1", "min"},
    {"float", "{\"max\":null}", "\"NaN\"", "max"},
    {"float", "{\"min\":2,\"max\":1}", "1", "max"},
    {"integer", "{\"max\":1,\"min\":1.5}", "1", "min"},
    {"float", "{\"dimension\":1}", "1", "dimension"},
    {"float", "{\"sense\":1}", "1", "sense"},
    {"boolean", "{\"min\":0}", "true", "min"},
    {"any", "{\"choices\":[1]}", "1", "choices"},
    {"string", "{\"min\":0}", "\"a\"", "min"},
    {"string", "{\"min_length\":-1}", "\"a\"", "min_length"},
    {"string", "{\"max_length\":1.5}", "\"a\"", "max_length"},
    {"string", "{\"max_length\":\"1\"}", "\"a\"", "max_length"},
    {"string", "{\"min_length\":2,\"max_length\":1}", "\"a\"", "max_length"},
    {"list", "{\"min_length\":-1}", "[]", "min_length"},
    {"map", "{\"max_length\":-1}", "{}", "max_length"},
    {"string", "{\"pattern\":\"(\"}", "\"a\"", "pattern"},
    {"string", "{\"pattern\":1}", "\"a\"", "pattern"},
    {"string", "{\"choices\":[\"a\",1]}", "\"a\"", "choices"},
    {"string", "{\"enum\":[]}", "\"a\"", "enum"},
    {"module", "{\"allowed_modules\":\"numpy\"}", "\"numpy\"", "allowed_modules"},
    {"choice", "{\"choices\":\"a\"}", "\"a\"", "choices"},
    {"choice", "{\"choices\":[]}", "\"a\"", "choices"},
    {"embedding", "{\"dimension\":0}", "[]", "dimension"},
    {"embedding", "{\"dimensions\":-3}", "[]", "dimensions"},
    {"embedding", "{\"dimension\":3,\"dimensions\":4}", "[1,2,3]", "dimensions"},
    {"embedding", "{\"max_length\":2,\"dimension\":3}", "[1,2]", "dimension"},
    {"tensor", "{\"shape\":3}", "{\"shape\":[3],\"data\":[1,2,3]}", "shape"},
    {"tensor", "{\"shape\":[-1]}", "{\"shape\":[1],\"data\":[1]}", "shape"},
    {"tensor", "{\"shape\":[\"1\"]}", "{\"shape\":[1],\"data\":[1]}", "shape"},
};

START_TEST(a_constraint_that_makes_no_sense_is_to_blame_not_the_value)
{
    const char *type = senseless[_i].type, *rules = senseless[_i].constraints;
    ck_assert_str_eq(kept_as(type, rules, senseless[_i].value), "! constraints");
    ck_assert_msg(bytes_equal(fault.constraint, bytes_of(senseless[_i].blamed)), "%s",
                  fault.detail);
}
END_TEST

START_TEST(constraints_that_are_no_object_are_refused)
{
    ck_assert_str_eq(kept_as("float", "[]", "1"), "! constraints");
    ck_assert_ptr_null(fault.constraint.data);
    ck_assert_str_eq(kept_as("float", "{", "1"), "! constraints");
}
END_TEST

START_TEST(type_and_constraints_hold_for_what_is_written_later)
{
    const struct variable old = {.type = VARIABLE_FLOAT,
                                 .declared = true,
                                 .version = 7,
                                 .constraints = BYTES("{\"max\":9}")};
    struct variable_write write = {.name = BYTES("x"), .value = BYTES("5")};
    ck_assert_str_eq(kept(&write, &old), "float 5.0");
    write.value = BYTES("10");
    ck_assert_str_eq(kept(&write, &old), "! value");
    write.constraints = BYTES("{}");
    ck_assert_str_eq(kept(&write, &old), "float 10.0");
    write.constraints = (struct bytes){0};
    write.type = BYTES("integer");
    ck_assert_str_eq(kept(&write, &old), "integer 10");
}
END_TEST

START_TEST(a_type_that_was_not_declared_changes_with_the_value)
{
    const struct variable old = {.type = VARIABLE_INTEGER, .version = 7};
    struct variable_write write = {.name = BYTES("x"), .value = BYTES("1.5")};
    ck_assert_str_eq(kept(&write, &old), "float 1.5");
    write.value = BYTES("[]");
    ck_assert_str_eq(kept(&write, &old), "list []");
}
END_TEST

START_TEST(a_name_is_a_word)
{
    static const char *const good[] = {"x", "_x", "9", "model.lr", "a:b-c", "A"};
    static const char *const bad[] = {"", ".x", "-x", ":x", "a b", "\xc3\xbc", "a/b", "a\n"};
    char longest[VARIABLE_NAME_MAX + 2];
    memset(longest, 'x', sizeof longest);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        ck_assert_msg(variable_is_name(bytes_of(good[i])), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!variable_is_name(bytes_of(bad[i])), "%s", bad[i]);
    ck_assert(variable_is_name(bytes_from(longest, VARIABLE_NAME_MAX)));
    ck_assert(!variable_is_name(bytes_from(longest, VARIABLE_NAME_MAX + 1)));
    ck_assert(!variable_is_name(bytes_from("a\0b", 3)));
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("variable");
    tcase_add_loop_test(tests, a_value_takes_the_form_of_its_type_or_is_refused, 0,
                        sizeof values / sizeof values[0]);
    tcase_add_loop_test(tests, a_constraint_lets_good_values_pass_and_no_others, 0,
                        sizeof constraints / sizeof constraints[0]);
    tcase_add_loop_test(tests, a_constraint_that_makes_no_sense_is_to_blame_not_the_value, 0,
                        sizeof senseless / sizeof senseless[0]);
    tcase_add_test(tests, constraints_that_are_no_object_are_refused);
    tcase_add_test(tests, type_and_constraints_hold_for_what_is_written_later);
    tcase_add_test(tests, a_type_that_was_not_declared_changes_with_the_value);
    tcase_add_test(tests, a_name_is_a_word);
    return run_case(tests, "variable");
}
