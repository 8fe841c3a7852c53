#include "base/buffer.h"
#include "base/json.h"

#include "run.h"

#include <stdlib.h>

static struct json_value value_of(struct bytes text)
{
    struct json_value value;
    struct json_error error = {0, ""};
    ck_assert_msg(json_check(text, JSON_MAX_DEPTH, &value, &error), "%.*s: %s", (int)text.len,
                  text.data, error.reason);
    return value;
}

static void assert_bytes(struct bytes got, struct bytes wanted)
{
    ck_assert_msg(bytes_equal(got, wanted), "got <%.*s>, wanted <%.*s>", (int)got.len, got.data,
                  (int)wanted.len, wanted.data);
}

static struct buffer nested(char open, char close, unsigned levels)
{
    struct buffer text = {0};
    for (unsigned i = 0; i < levels; i++)
        buffer_printf(&text, "%s%c", i > 0 && open == '{' ? "\"a\":" : "", open);
    for (unsigned i = 0; i < levels; i++)
        buffer_printf(&text, "%c", close);
    return text;
}

START_TEST(value_is_handed_out_without_white_space)
{
    struct json_value value = value_of(BYTES(" \n{\"a\": 1} \t"));
    ck_assert_int_eq(value.type, JSON_TYPE_OBJECT);
    assert_bytes(value.raw, BYTES("{\"a\": 1}"));
}
END_TEST

START_TEST(type_follows_from_the_text)
{
    ck_assert_int_eq(value_of(BYTES("null")).type, JSON_TYPE_NULL);
    ck_assert_int_eq(value_of(BYTES("true")).type, JSON_TYPE_BOOL);
    ck_assert_int_eq(value_of(BYTES("false")).type, JSON_TYPE_BOOL);
    ck_assert_int_eq(value_of(BYTES("-1.5e3")).type, JSON_TYPE_NUMBER);
    ck_assert_int_eq(value_of(BYTES("\"\"")).type, JSON_TYPE_STRING);
    ck_assert_int_eq(value_of(BYTES("[]")).type, JSON_TYPE_ARRAY);
    ck_assert_int_eq(value_of(BYTES("{}")).type, JSON_TYPE_OBJECT);
}
END_TEST

START_TEST(deepest_nesting_allowed_is_accepted)
{
    static const unsigned depths[] = {1, 2, 63, 64, 65, 128, 500, JSON_MAX_DEPTH};
    for (size_t i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
        struct buffer arrays = nested('[', ']', depths[i]);
        struct buffer objects = nested('{', '}', depths[i]);
        ck_assert(json_check(buffer_bytes(&arrays), depths[i], NULL, NULL));
        ck_assert(json_check(buffer_bytes(&objects), depths[i], NULL, NULL));
        buffer_deinit(&arrays);
        buffer_deinit(&objects);
    }
}
END_TEST

START_TEST(nesting_one_level_deeper_is_refused_where_it_begins)
{
    static const unsigned depths[] = {0, 1, 2, 63, 64, 65, JSON_MAX_DEPTH};
    for (size_t i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
        struct buffer arrays = nested('[', ']', depths[i] + 1);
        struct json_error error;
        ck_assert(!json_check(buffer_bytes(&arrays), depths[i], NULL, &error));
        ck_assert_uint_eq(error.offset, depths[i]);
        ck_assert_str_eq(error.reason, "nested deeper than allowed");
        buffer_deinit(&arrays);
    }
}
END_TEST

START_TEST(hundred_thousand_open_brackets_are_refused)
{
    struct buffer text = nested('[', ']', 100000);
    ck_assert(!json_check(buffer_bytes(&text), JSON_MAX_DEPTH, NULL, NULL));
    buffer_deinit(&text);
}
END_TEST

START_TEST(siblings_do_not_add_to_the_depth)
{
    ck_assert(json_check(BYTES("[[],[],{},[{}]]"), 3, NULL, NULL));
    ck_assert(!json_check(BYTES("[[],[],{},[{}]]"), 2, NULL, NULL));
}
END_TEST

START_TEST(fault_is_reported_at_its_byte)
{
    static const struct {
        const char *text;
        size_t offset;
        const char *reason;
    } faults[] = {
        {"", 0, "unexpected end"},
        {"[1,", 3, "unexpected end"},
        {"{\"a\":tru}", 8, "unexpected character"},
        {"{\"a\" 1}", 5, "expected a colon"},
        {"{1}", 1, "expected a member name"},
        {"[1 2]", 3, "expected a comma or the end"},
        {"[01]", 2, "a number begins with 0"},
        {"[1.]", 3, "a number lacks digits"},
        {"[\"a\\x\"]", 3, "bad escape in a string"},
        {"[\"a\nb\"]", 3, "control character in a string"},
        {"[\"a\xff\"]", 3, "string is not UTF-8"},
        {"{} x", 3, "something follows the value"},
    };
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        struct json_error error;
        ck_assert(!json_check(bytes_of(faults[i].text), 8, NULL, &error));
        ck_assert_msg(error.offset == faults[i].offset, "%s: %zu", faults[i].text, error.offset);
        ck_assert_str_eq(error.reason, faults[i].reason);
    }
}
END_TEST

START_TEST(stop_byte_is_found_at_every_place_of_a_string)
{
    static const char stops[] = {'"', '\\', '\n', '\0', '\x1f', '\x80', '\xff'};
    char text[40];
    for (size_t place = 0; place < 32; place++) {
        for (size_t i = 0; i < sizeof(stops); i++) {
            memset(text, '~', sizeof(text));
            text[0] = text[34] = '"';
            text[1 + place] = stops[i];
            ck_assert(!json_check(bytes_from(text, 35), 1, NULL, NULL));
            text[1 + place] = '!';
            ck_assert(json_check(bytes_from(text, 35), 1, NULL, NULL));
        }
    }
}
END_TEST

START_TEST(every_prefix_of_a_document_is_refused)
{
    struct bytes sample = BYTES("{\"tool\": \"add\", \"args\": {\"a\": -1.5e+3, \"b\": [true, "
                                "false, null, \"\\u00e9\\ud83d\\ude39\xe2\x82\xac\\n\"]},"
                                " \"\": {}, \"x\": [[], 0]}");
    (void)value_of(sample);
    for (size_t len = 0; len < sample.len; len++) {
        char *exact = malloc(len + 1); /* so that ASan sees a read past the end */
        memcpy(exact + 1, sample.data, len);
        ck_assert_msg(!json_check(bytes_from(exact + 1, len), JSON_MAX_DEPTH, NULL, NULL),
                      "accepted the first %zu bytes", len);
        free(exact);
    }
}
END_TEST

START_TEST(object_is_walked_in_order)
{
    struct bytes raw =
        BYTES("{ \"a\" : 1 ,\"b\":\"x,}\\\"\", \"c\":[1,{\"d\":\"]\"}] , \"\" :{} }");
    struct json_cursor cursor = {0};
    struct bytes key;
    struct json_value value;
    static const char *const wanted[][2] = {
        {"a", "1"}, {"b", "\"x,}\\\"\""}, {"c", "[1,{\"d\":\"]\"}]"}, {"", "{}"}};
    for (size_t i = 0; i < 4; i++) {
        ck_assert(json_next(raw, &cursor, &key, &value));
        assert_bytes(key, bytes_of(wanted[i][0]));
        assert_bytes(value.raw, bytes_of(wanted[i][1]));
    }
    ck_assert(!json_next(raw, &cursor, &key, &value));
    ck_assert(!json_next(raw, &cursor, &key, &value));
}
END_TEST

START_TEST(array_is_walked_without_keys)
{
    struct bytes raw = BYTES("[ null,-1.5e3 , \"\\\\\" ,[],true]");
    static const char *const wanted[] = {"null", "-1.5e3", "\"\\\\\"", "[]", "true"};
    struct json_cursor cursor = {0};
    struct bytes key;
    struct json_value value;
    for (size_t i = 0; i < 5; i++) {
        ck_assert(json_next(raw, &cursor, &key, &value));
        ck_assert_ptr_null(key.data);
        assert_bytes(value.raw, bytes_of(wanted[i]));
    }
    ck_assert(!json_next(raw, &cursor, NULL, &value));
}
END_TEST

START_TEST(empty_containers_have_no_members)
{
    static const char *const empty[] = {"[]", "{}", "[ \n]", "{\t }"};
    for (size_t i = 0; i < 4; i++) {
        struct json_cursor cursor = {0};
        struct json_value value;
        ck_assert(!json_next(bytes_of(empty[i]), &cursor, NULL, &value));
    }
}
END_TEST

START_TEST(text_without_escapes_is_borrowed)
{
    struct bytes raw = BYTES("\"caf\xc3\xa9\"");
    struct bytes text = json_text(raw, NULL);
    ck_assert_ptr_eq(text.data, raw.data + 1);
    assert_bytes(text, BYTES("caf\xc3\xa9"));
}
END_TEST

START_TEST(escapes_are_resolved)
{
    struct arena *arena = arena_new(0);
    assert_bytes(json_text(BYTES("\"a\\\"\\\\\\/\\b\\f\\n\\r\\tz\""), arena),
                 BYTES("a\"\\/\b\f\n\r\tz"));
    assert_bytes(json_text(BYTES("\"\\u0041\\u00e9\\u20AC\\ud83d\\ude39\""), arena),
                 BYTES("A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\xb9"));
    assert_bytes(json_text(BYTES("\"\\u0000\""), arena), BYTES("\0"));
    assert_bytes(json_text(BYTES("\"\\\\u0041\""), arena), BYTES("\\u0041"));
    arena_unref(&arena);
}
END_TEST

START_TEST(key_without_quotes_is_resolved_too)
{
    struct arena *arena = arena_new(0);
    assert_bytes(json_text(BYTES("\\\"quoted\\\""), arena), BYTES("\"quoted\""));
    assert_bytes(json_text(BYTES("plain"), arena), BYTES("plain"));
    assert_bytes(json_text(BYTES(""), arena), BYTES(""));
    arena_unref(&arena);
}
END_TEST

START_TEST(empty_string_has_empty_text)
{
    ck_assert_uint_eq(json_text(BYTES("\"\""), NULL).len, 0);
}
END_TEST

START_TEST(whole_numbers_of_64_bits_are_read)
{
    int64_t number;
    ck_assert(json_to_int(BYTES("0"), &number) && number == 0);
    ck_assert(json_to_int(BYTES("-0"), &number) && number == 0);
    ck_assert(json_to_int(BYTES("30000"), &number) && number == 30000);
    ck_assert(json_to_int(BYTES("9223372036854775807"), &number) && number == INT64_MAX);
    ck_assert(json_to_int(BYTES("-9223372036854775808"), &number) && number == INT64_MIN);
}
END_TEST

START_TEST(other_numbers_are_no_whole_numbers)
{
    static const char *const others[] = {"9223372036854775808",
                                         "-9223372036854775809",
                                         "99999999999999999999",
                                         "1.0",
                                         "1e3",
                                         "-",
                                         "",
                                         "true",
                                         "\"1\""};
    int64_t number = 7;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        ck_assert_msg(!json_to_int(bytes_of(others[i]), &number), "%s", others[i]);
    ck_assert_int_eq(number, 7);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("json");
    tcase_add_test(tests, value_is_handed_out_without_white_space);
    tcase_add_test(tests, type_follows_from_the_text);
    tcase_add_test(tests, deepest_nesting_allowed_is_accepted);
    tcase_add_test(tests, nesting_one_level_deeper_is_refused_where_it_begins);
    tcase_add_test(tests, hundred_thousand_open_brackets_are_refused);
    tcase_add_test(tests, siblings_do_not_add_to_the_depth);
    tcase_add_test(tests, fault_is_reported_at_its_byte);
    tcase_add_test(tests, stop_byte_is_found_at_every_place_of_a_string);
    tcase_add_test(tests, every_prefix_of_a_document_is_refused);
    tcase_add_test(tests, object_is_walked_in_order);
    tcase_add_test(tests, array_is_walked_without_keys);
    tcase_add_test(tests, empty_containers_have_no_members);
    tcase_add_test(tests, text_without_escapes_is_borrowed);
    tcase_add_test(tests, escapes_are_resolved);
    tcase_add_test(tests, key_without_quotes_is_resolved_too);
    tcase_add_test(tests, empty_string_has_empty_text);
    tcase_add_test(tests, whole_numbers_of_64_bits_are_read);
    tcase_add_test(tests, other_numbers_are_no_whole_numbers);
    return run_case(tests, "json");
}
