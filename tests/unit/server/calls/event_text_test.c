/* One event as text, whole and in pieces. */
#include "server/calls/event_text.h"

#include "../../base/run.h"

static char room[512];

static struct bytes whole(enum event_format format, uint64_t id, const char *name, const char *data)
{
    bool end;
    size_t len = event_text_piece(format, id, name, bytes_of(data), 0, room, sizeof room, &end);
    ck_assert(end);
    return bytes_from(room, len);
}

START_TEST(numbers_are_written_to_the_last_digit)
{
    ck_assert(bytes_equal(whole(EVENT_NDJSON, 0, "a", "1"),
                          BYTES("{\"id\":0,\"event\":\"a\",\"data\":1}\n")));
    ck_assert(bytes_equal(whole(EVENT_SSE, UINT64_MAX, "tool_call", "{}"),
                          BYTES("id: 18446744073709551615\nevent: tool_call\ndata: {}\n\n")));
}
END_TEST

START_TEST(no_data_is_no_data)
{
    ck_assert(bytes_equal(whole(EVENT_SSE, 1, "a", ""), BYTES("id: 1\nevent: a\ndata: \n\n")));
}
END_TEST

START_TEST(every_offset_and_size_gives_its_part)
{
    char piece[64];
    for (unsigned format = EVENT_SSE; format <= EVENT_NDJSON; format++) {
        struct bytes text = whole((enum event_format)format, 42, "chunk", "[1,2]");
        for (size_t offset = 0; offset < text.len; offset++) {
            for (size_t size = 0; size < sizeof piece; size++) {
                bool end;
                size_t len = event_text_piece((enum event_format)format, 42, "chunk",
                                              BYTES("[1,2]"), offset, piece, size, &end);
                size_t left = text.len - offset;
                ck_assert_uint_eq(len, left < size ? left : size);
                ck_assert_int_eq(end, len == left);
                ck_assert_mem_eq(piece, text.data + offset, len);
            }
        }
    }
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("event_text");
    tcase_add_test(tests, numbers_are_written_to_the_last_digit);
    tcase_add_test(tests, no_data_is_no_data);
    tcase_add_test(tests, every_offset_and_size_gives_its_part);
    return run_case(tests, "event_text");
}
