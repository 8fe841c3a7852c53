/* The body of POST /execute, member by member. */
#include "server/calls/envelope.h"

#include "../../base/run.h"
#include "pool/session.h"

#include <stdio.h>

static struct arena *arena;
static struct invocation_request request;
static struct member_fault fault;

static void set_up(void)
{
    arena = arena_new(0);
}

static void tear_down(void)
{
    arena_unref(&arena);
}

static void accept(const char *body)
{
    bool good = envelope_read(bytes_of(body), arena, &request, &fault);
    ck_assert_msg(good, "%s: %s", body, good ? "" : fault.detail);
}

static void refuse(const char *body, const char *pointer, const char *detail)
{
    ck_assert_msg(!envelope_read(bytes_of(body), arena, &request, &fault), "accepted: %s", body);
    ck_assert_str_eq(fault.code, "invalid_request");
    ck_assert_msg(bytes_equal(fault.pointer, bytes_of(pointer)), "%s: pointer %.*s", body,
                  (int)fault.pointer.len, fault.pointer.data);
    ck_assert_msg(strstr(fault.detail, detail) != NULL, "%s: %s", body, fault.detail);
}

START_TEST(a_tool_is_enough)
{
    accept("{\"tool\":\"add\"}");
    ck_assert(bytes_equal(request.tool, BYTES("add")));
    ck_assert(bytes_equal(request.args, BYTES("{}")));
    ck_assert_uint_eq(request.timeout_us, 0);
    ck_assert_uint_eq(request.queue_timeout_us, 0);
    ck_assert_uint_eq(request.run_timeout_us, 0);
    ck_assert(!request.priority.given);
    ck_assert(!request.idempotent.given);
}
END_TEST

START_TEST(every_member_goes_to_its_place)
{
    accept(
        "{\"command\":\"a\",\"args\":{\"x\":1},\"pool\":\"p\",\"session_id\":\"s\","
        "\"correlation_id\":\"c\",\"metadata\":{\"m\":1},\"timeout_ms\":1,\"queue_timeout_ms\":2,"
        "\"run_timeout_ms\":86400000,\"idle_timeout_ms\":3,\"priority\":7,\"idempotent\":true}");
    ck_assert(bytes_equal(request.tool, BYTES("a")));
    ck_assert(bytes_equal(request.args, BYTES("{\"x\":1}")));
    ck_assert(bytes_equal(request.pool, BYTES("p")));
    ck_assert(bytes_equal(request.session_id, BYTES("s")));
    ck_assert(bytes_equal(request.correlation_id, BYTES("c")));
    ck_assert(bytes_equal(request.metadata, BYTES("{\"m\":1}")));
    ck_assert_uint_eq(request.timeout_us, 1000);
    ck_assert_uint_eq(request.queue_timeout_us, 2000);
    ck_assert_uint_eq(request.run_timeout_us, UINT64_C(86400000000));
    ck_assert_uint_eq(request.idle_timeout_us, 3000);
    ck_assert(request.priority.given && request.priority.value == 7);
    ck_assert(request.idempotent.given && request.idempotent.value == 1);
}
END_TEST

START_TEST(zero_and_false_are_given_too)
{
    accept("{\"tool\":\"a\",\"priority\":0,\"idempotent\":false}");
    ck_assert(request.priority.given && request.priority.value == 0);
    ck_assert(request.idempotent.given && request.idempotent.value == 0);
}
END_TEST

START_TEST(a_priority_is_a_whole_number_below_eight)
{
    static const char *const wrong[] = {"8", "-1", "1.5", "1e0", "\"1\"", "null", "true", "[]"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        char body[64];
        snprintf(body, sizeof(body), "{\"tool\":\"a\",\"priority\":%s}", wrong[i]);
        refuse(body, "/priority", "from 0 to 7");
        ck_assert_msg(fault.out_of_range == (i < 2), "%s", body);
    }
}
END_TEST

START_TEST(idempotent_is_true_or_false)
{
    refuse("{\"tool\":\"a\",\"idempotent\":1}", "/idempotent", "true or false");
    refuse("{\"tool\":\"a\",\"idempotent\":\"true\"}", "/idempotent", "true or false");
    refuse("{\"tool\":\"a\",\"idempotent\":null}", "/idempotent", "true or false");
}
END_TEST

START_TEST(times_are_from_a_millisecond_to_a_day)
{
    static const char *const members[] = {"timeout_ms", "queue_timeout_ms", "run_timeout_ms",
                                          "idle_timeout_ms"};
    static const char *const wrong[] = {"0", "-5", "86400001", "0.5", "\"5\"", "null"};
    for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
        for (size_t j = 0; j < sizeof(wrong) / sizeof(*wrong); j++) {
            char body[64], pointer[32];
            snprintf(body, sizeof(body), "{\"tool\":\"a\",\"%s\":%s}", members[i], wrong[j]);
            snprintf(pointer, sizeof(pointer), "/%s", members[i]);
            refuse(body, pointer, "from 1 to 86400000");
        }
    }
}
END_TEST

START_TEST(unknown_members_are_named_and_escaped)
{
    refuse("{\"tool\":\"a\",\"colour\":1}", "/colour", "unknown member \"colour\"");
    refuse("{\"tool\":\"a\",\"a/b~c\":1}", "/a~1b~0c", "unknown member");
}
END_TEST

START_TEST(members_are_given_once)
{
    refuse("{\"tool\":\"a\",\"priority\":1,\"priority\":1}", "/priority", "twice");
    refuse("{\"tool\":\"a\",\"command\":\"b\"}", "/command", "older name");
    refuse("{\"args\":{}}", "/tool", "missing");
}
END_TEST

START_TEST(what_is_no_object_is_refused)
{
    refuse("[]", "", "must be an object");
    ck_assert(!envelope_read(BYTES("{"), arena, &request, &fault));
    ck_assert_str_eq(fault.code, "invalid_json");
    ck_assert_ptr_null(fault.pointer.data);
}
END_TEST

START_TEST(what_is_nested_too_deep_is_said_to_be_that)
{
    char body[400] = "{\"tool\":\"a\",\"args\":{\"x\":";
    size_t len = strlen(body);
    memset(body + len, '[', 200);
    ck_assert(!envelope_read(bytes_of(body), arena, &request, &fault));
    ck_assert_str_eq(fault.code, "invalid_json");
    ck_assert_ptr_nonnull(strstr(fault.detail, "nested deeper than 128 levels, at byte "));
}
END_TEST

static bool read_query(const char *query)
{
    return envelope_read_query(bytes_of(query), arena, &request, &fault);
}

START_TEST(a_query_has_the_members_of_the_envelope)
{
    ck_assert(read_query("tool=a%22b&args=%7B%22x%22%3A+1%7D&timeout_ms=5&priority=0&"
                         "idempotent=true&pool=p&on_disconnect=detach"));
    ck_assert(bytes_equal(request.tool, BYTES("a\"b")));
    ck_assert(bytes_equal(request.args, BYTES("{\"x\": 1}")));
    ck_assert_uint_eq(request.timeout_us, 5000);
    ck_assert(request.idempotent.given);
    ck_assert(bytes_equal(request.pool, BYTES("p")));
    ck_assert(bytes_equal(request.on_disconnect, BYTES("detach")));
}
END_TEST

START_TEST(a_query_that_makes_no_envelope_is_refused)
{
    static const char *const bad[] = {"",
                                      "args={}",
                                      "tool=a&x=1",
                                      "tool=a&tool=b",
                                      "tool=a&args=",
                                      "tool=a&args=[]",
                                      "tool=a&timeout_ms=1x",
                                      "tool=a&priority",
                                      "tool=%4",
                                      "tool=a&&",

                                      "tool=a&args={}}",
                                      "tool=a&on_disconnect=x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fault = (struct member_fault){0};
        ck_assert_msg(!read_query(bad[i]), "%s", bad[i]);
        ck_assert_msg(fault.code && fault.detail, "%s", bad[i]);
    }
}
END_TEST

static void refuse_query(const char *query, const char *pointer, const char *detail)
{
    ck_assert_msg(!read_query(query), "%s", query);
    ck_assert_msg(bytes_equal(fault.pointer, bytes_of(pointer)), "%s", query);
    ck_assert_msg(strstr(fault.detail, detail), "%s: %s", query, fault.detail);
}

START_TEST(faults_of_a_query_speak_of_the_query)
{
    refuse_query("tool=a&colour=1", "/colour", "unknown parameter \"colour\"");
    refuse_query("tool=a&tool=b", "/tool", "\"tool\" is given twice");
    refuse_query("tool=a&timeout_ms=soon", "/timeout_ms", "must be a whole number of milliseconds");
    refuse_query("tool=a&idempotent=yes", "/idempotent", "must be true or false");
    refuse_query("tool=a&args={x:1}", "/args", "\"args\" is not JSON at byte 1");
    refuse_query("tool=a&args=[]", "/args", "must be an object");
    refuse_query("tool=a&affinity=loose", "/affinity", "\"hint\"");
}
END_TEST

START_TEST(an_affinity_in_a_query_has_no_quotes)
{
    ck_assert(read_query("tool=a&affinity=strict_queue"));
    ck_assert_uint_eq(request.affinity, AFFINITY_STRICT_QUEUE);
}
END_TEST

START_TEST(a_session_id_is_said_to_have_128_bytes_at_most)
{
    char body[256], id[130];
    memset(id, 'a', sizeof(id));
    snprintf(body, sizeof(body), "{\"tool\":\"a\",\"session_id\":\"%.*s\"}", 129, id);
    refuse(body, "/session_id", "must have 1 to 128 bytes");
    snprintf(body, sizeof(body), "{\"tool\":\"a\",\"session_id\":\"%.*s\"}", 128, id);
    ck_assert(envelope_read(bytes_of(body), arena, &request, &fault));
}
END_TEST

START_TEST(options_in_a_query_are_neither_tool_nor_arguments)
{
    static const char *const bad[] = {"tool=a",       "command=a", "args={}",
                                      "tools=[]",     "colour=1",  "on_disconnect=detach",
                                      "pool=a&pool=b"};
    request = (struct invocation_request){.tool = BYTES("kept")};
    ck_assert(envelope_read_options(BYTES("session_id=s&affinity=hint&affinity_key=k&pool=p&"
                                          "timeout_ms=5&priority=1&idempotent=false"),
                                    arena, &request, &fault));
    ck_assert(bytes_equal(request.tool, BYTES("kept")));
    ck_assert(bytes_equal(request.session_id, BYTES("s")));
    ck_assert(bytes_equal(request.affinity_key, BYTES("k")));
    ck_assert_uint_eq(request.timeout_us, 5000);
    ck_assert(envelope_read_options(BYTES(""), arena, &request, &fault));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!envelope_read_options(bytes_of(bad[i]), arena, &request, &fault), "%s",
                      bad[i]);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("envelope");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_tool_is_enough);
    tcase_add_test(tests, every_member_goes_to_its_place);
    tcase_add_test(tests, zero_and_false_are_given_too);
    tcase_add_test(tests, a_priority_is_a_whole_number_below_eight);
    tcase_add_test(tests, idempotent_is_true_or_false);
    tcase_add_test(tests, times_are_from_a_millisecond_to_a_day);
    tcase_add_test(tests, unknown_members_are_named_and_escaped);
    tcase_add_test(tests, members_are_given_once);
    tcase_add_test(tests, what_is_no_object_is_refused);
    tcase_add_test(tests, what_is_nested_too_deep_is_said_to_be_that);
    tcase_add_test(tests, a_query_has_the_members_of_the_envelope);
    tcase_add_test(tests, a_query_that_makes_no_envelope_is_refused);
    tcase_add_test(tests, faults_of_a_query_speak_of_the_query);
    tcase_add_test(tests, an_affinity_in_a_query_has_no_quotes);
    tcase_add_test(tests, a_session_id_is_said_to_have_128_bytes_at_most);
    tcase_add_test(tests, options_in_a_query_are_neither_tool_nor_arguments);
    return run_case(tests, "envelope");
}
