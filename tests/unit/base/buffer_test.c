#include "base/buffer.h"

#include "run.h"

static void assert_holds(const struct buffer *buffer, struct bytes wanted)
{
    ck_assert_msg(bytes_equal(buffer_bytes(buffer), wanted), "holds <%.*s>, not <%.*s>",
                  (int)buffer->len, buffer->data, (int)wanted.len, wanted.data);
}

static void assert_written_as(struct bytes text, struct bytes wanted)
{
    struct buffer buffer = {0};
    buffer_add_json_string(&buffer, text);
    assert_holds(&buffer, wanted);
    buffer_deinit(&buffer);
}

START_TEST(bytes_are_added_in_order)
{
    struct buffer buffer = {0};
    buffer_add(&buffer, BYTES("a\0b"));
    buffer_add_string(&buffer, "cd");
    buffer_printf(&buffer, "%d", 42);
    assert_holds(&buffer, BYTES("a\0bcd42"));
    buffer_deinit(&buffer);
}
END_TEST

START_TEST(adding_nothing_to_an_empty_buffer_is_harmless)
{
    struct buffer buffer = {0};
    buffer_add(&buffer, bytes_of(NULL));
    ck_assert(buffer_append(&buffer, BYTES("")));
    ck_assert_uint_eq(buffer.len, 0);
    buffer_deinit(&buffer);
}
END_TEST

START_TEST(ceiling_can_be_reached)
{
    struct buffer buffer;
    buffer_init(&buffer, 5);
    ck_assert(buffer_append(&buffer, BYTES("abc")));
    ck_assert(buffer_append(&buffer, BYTES("de")));
    assert_holds(&buffer, BYTES("abcde"));
    ck_assert_uint_le(buffer.capacity, 5);
    buffer_deinit(&buffer);
}
END_TEST

START_TEST(ceiling_refuses_and_changes_nothing)
{
    struct buffer buffer;
    buffer_init(&buffer, 5);
    ck_assert(buffer_append(&buffer, BYTES("abc")));
    ck_assert(!buffer_append(&buffer, BYTES("def")));
    ck_assert(!buffer_reserve(&buffer, 3));
    assert_holds(&buffer, BYTES("abc"));
    ck_assert(buffer_append(&buffer, BYTES("de")));
    buffer_deinit(&buffer);
}
END_TEST

START_TEST(sizes_near_overflow_are_refused)
{
    struct buffer limited;
    struct buffer unlimited = {0};
    buffer_init(&limited, 100);
    ck_assert(buffer_append(&limited, BYTES("abc")));
    buffer_add(&unlimited, BYTES("abc"));
    ck_assert(!buffer_reserve(&limited, SIZE_MAX));
    ck_assert(!buffer_reserve(&unlimited, SIZE_MAX));
    ck_assert(!buffer_reserve(&unlimited, SIZE_MAX - 2));
    buffer_deinit(&limited);
    buffer_deinit(&unlimited);
}
END_TEST

START_TEST(reserved_room_can_be_written)
{
    struct buffer buffer = {0};
    ck_assert(buffer_reserve(&buffer, 100000));
    memset(buffer.data, 'x', 100000);
    buffer.len = 100000;
    ck_assert_uint_ge(buffer.capacity, 100000);
    buffer_deinit(&buffer);
}
END_TEST

START_TEST(printf_is_not_cut)
{
    struct buffer buffer = {0};
    buffer_printf(&buffer, "%01000d", 7);
    ck_assert_uint_eq(buffer.len, 1000);
    ck_assert_int_eq(buffer.data[999], '7');
    buffer_deinit(&buffer);
}
END_TEST

START_TEST(consumed_bytes_are_gone)
{
    struct buffer buffer = {0};
    buffer_add_string(&buffer, "abcdef");
    buffer_consume(&buffer, 4);
    assert_holds(&buffer, BYTES("ef"));
    buffer_consume(&buffer, 2);
    assert_holds(&buffer, BYTES(""));
    buffer_consume(&buffer, 0);
    buffer_deinit(&buffer);
}
END_TEST

START_TEST(deinit_keeps_the_ceiling_and_frees_the_rest)
{
    struct buffer buffer;
    buffer_init(&buffer, 10);
    ck_assert(buffer_append(&buffer, BYTES("abc")));
    buffer_deinit(&buffer);
    ck_assert_ptr_null(buffer.data);
    ck_assert_uint_eq(buffer.len + buffer.capacity, 0);
    ck_assert_uint_eq(buffer.ceiling, 10);
}
END_TEST

START_TEST(json_string_is_quoted_and_escaped)
{
    assert_written_as(BYTES(""), BYTES("\"\""));
    assert_written_as(bytes_of(NULL), BYTES("\"\""));
    assert_written_as(BYTES("plain text, longer than eight"),
                      BYTES("\"plain text, longer than eight\""));
    assert_written_as(BYTES("a\"b\\c/"), BYTES("\"a\\\"b\\\\c/\""));
    assert_written_as(BYTES("\b\t\n\f\r"), BYTES("\"\\b\\t\\n\\f\\r\""));
    assert_written_as(BYTES("\0\x1f\x7f"), BYTES("\"\\u0000\\u001f\x7f\""));
    assert_written_as(BYTES("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\xb9"),
                      BYTES("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\xb9\""));
}
END_TEST

START_TEST(bytes_that_are_not_utf8_become_replacement_characters)
{
    assert_written_as(BYTES("a\xff"
                            "b"),
                      BYTES("\"a\xef\xbf\xbd"
                            "b\""));
    assert_written_as(BYTES("\xc3"), BYTES("\"\xef\xbf\xbd\""));
    assert_written_as(BYTES("\xc0\xaf"), BYTES("\"\xef\xbf\xbd\xef\xbf\xbd\""));
}
END_TEST

static void assert_base64(struct bytes data, struct bytes wanted)
{
    struct buffer buffer = {0};
    buffer_add_base64(&buffer, data);
    ck_assert(bytes_equal(buffer_bytes(&buffer), wanted));
    buffer_deinit(&buffer);
}

START_TEST(base64_is_that_of_the_rfc) /* RFC 4648, 10 */
{
    assert_base64(BYTES(""), BYTES(""));
    assert_base64(BYTES("f"), BYTES("Zg=="));
    assert_base64(BYTES("fo"), BYTES("Zm8="));
    assert_base64(BYTES("foo"), BYTES("Zm9v"));
    assert_base64(BYTES("foob"), BYTES("Zm9vYg=="));
    assert_base64(BYTES("\xff\xef\xbe\0"), BYTES("/+++AA=="));
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("buffer");
    tcase_add_test(tests, bytes_are_added_in_order);
    tcase_add_test(tests, adding_nothing_to_an_empty_buffer_is_harmless);
    tcase_add_test(tests, ceiling_can_be_reached);
    tcase_add_test(tests, ceiling_refuses_and_changes_nothing);
    tcase_add_test(tests, sizes_near_overflow_are_refused);
    tcase_add_test(tests, reserved_room_can_be_written);
    tcase_add_test(tests, printf_is_not_cut);
    tcase_add_test(tests, consumed_bytes_are_gone);
    tcase_add_test(tests, deinit_keeps_the_ceiling_and_frees_the_rest);
    tcase_add_test(tests, json_string_is_quoted_and_escaped);
    tcase_add_test(tests, bytes_that_are_not_utf8_become_replacement_characters);
    tcase_add_test(tests, base64_is_that_of_the_rfc);
    return run_case(tests, "buffer");
}
