/* /stream and /calls/{id}/events: events as a client in C sees them, and what becomes of a tool
 * whose reader leaves. */
#include "look.h"

static void start_gateway(void)
{
    gateway = gateway_start(
        (const char *const[]){"--workers", "1", "--adapter", "streams.Streams", NULL}, NULL);
}

/* --- reading --- */

/* One event; `data` is owned. */
struct event {
    long id;
    char name[16];
    json_t *data;
};

enum { EVENTS_MAX = 64 };

struct events {
    size_t count;
    struct event list[EVENTS_MAX];
};

static void add_event(struct events *events, long id, const char *name, const char *data)
{
    ck_assert_uint_lt(events->count, EVENTS_MAX);
    struct event *event = &events->list[events->count++];
    event->id = id;
    snprintf(event->name, sizeof(event->name), "%s", name);
    event->data = json_loads(data, JSON_DECODE_ANY, NULL);
    ck_assert_msg(event->data != NULL, "no JSON: %s", data);
}

/* Cuts the text up to `end` from the front of `*rest`. */
static char *cut(char **rest, const char *end)
{
    char *begin = *rest, *at = strstr(begin, end);
    ck_assert_msg(at != NULL, "no end: %s", begin);
    *at = '\0';
    *rest = at + strlen(end);
    return begin;
}

/* Of a text/event-stream, which it takes apart. */
static void read_events(char *text, struct events *out_events)
{
    *out_events = (struct events){0};
    while (*text) {
        char *lines = cut(&text, "\n\n");
        if (*lines == ':')
            continue;
        char *id = strsep(&lines, "\n"), *name = strsep(&lines, "\n");
        ck_assert_msg(lines && strncmp(id, "id: ", 4) == 0 && strncmp(name, "event: ", 7) == 0 &&
                          strncmp(lines, "data: ", 6) == 0,
                      "%s", id);
        add_event(out_events, strtol(id + 4, NULL, 10), name + 7, lines + 6);
    }
}

static void events_deinit(struct events *events)
{
    for (size_t i = 0; i < events->count; i++)
        json_decref(events->list[i].data);
}

static struct answer stream(const char *body, const char *accept)
{
    char header[64];
    snprintf(header, sizeof(header), "accept: %s", accept);
    struct answer answer =
        client_send(client, &(struct request){.path = "/stream",
                                              .body = body,
                                              .content_type = "application/json",
                                              .headers = (const char *const[]){header, NULL}});
    ck_assert_msg(answer.status == 200, "%s", answer.body ? answer.body : answer.error);
    return answer;
}

static void assert_numbered(const struct events *events, long first)
{
    for (size_t i = 0; i < events->count; i++)
        ck_assert_int_eq(events->list[i].id, first + (long)i);
}

/* --- events --- */

static void events_are_numbered_from_start_to_done_body(void)
{
    struct events events;
    struct answer answer = stream("{\"tool\":\"count\",\"args\":{\"n\":3}}", "text/event-stream");
    ck_assert_str_eq(answer_header(&answer, "content-type"), "text/event-stream");
    ck_assert_str_eq(answer_header(&answer, "cache-control"), "no-cache, no-transform");
    char *id = strdup(answer_header(&answer, "x-request-id"));
    read_events(answer.body, &events);
    ck_assert_uint_eq(events.count, 5);
    assert_numbered(&events, 1);
    ck_assert_str_eq(events.list[0].name, "start");
    ck_assert_str_eq(member_text(events.list[0].data, "request_id"), id);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_str_eq(events.list[1 + i].name, "chunk");
        ck_assert_int_eq(json_integer_value(events.list[1 + i].data), i);
    }
    ck_assert_str_eq(events.list[4].name, "done");
    ck_assert_str_eq(member_text(events.list[4].data, "result"), "counted");
    free(id);
    events_deinit(&events);
    answer_deinit(&answer);
}
WITH_CLIENT(events_are_numbered_from_start_to_done)

static void lines_of_json_have_the_same_events_body(void)
{
    struct answer answer =
        stream("{\"tool\":\"count\",\"args\":{\"n\":2}}", "application/x-ndjson");
    ck_assert_str_eq(answer_header(&answer, "content-type"), "application/x-ndjson");
    char *rest = answer.body;
    for (int i = 1; i <= 4; i++) {
        json_t *line = json_loads(cut(&rest, "\n"), 0, NULL);
        ck_assert_int_eq(json_integer_value(json_object_get(line, "id")), i);
        json_decref(line);
    }
    ck_assert_str_eq(rest, "");
    answer_deinit(&answer);
}
WITH_CLIENT(lines_of_json_have_the_same_events)

static void an_exception_in_mid_stream_is_an_event_body(void)
{
    struct events events;
    struct answer answer =
        stream("{\"tool\":\"fail_after\",\"args\":{\"n\":1}}", "text/event-stream");
    read_events(answer.body, &events);
    ck_assert_uint_eq(events.count, 3);
    ck_assert_str_eq(events.list[2].name, "error");
    ck_assert_str_eq(member_text(events.list[2].data, "code"), "python_error");
    ck_assert_str_eq(member_text(events.list[2].data, "instance"), "/stream");
    events_deinit(&events);
    answer_deinit(&answer);
}
WITH_CLIENT(an_exception_in_mid_stream_is_an_event)

static void a_tool_that_fails_before_its_first_value_has_a_status_body(void)
{
    struct answer answer =
        client_post(client, "/stream", "{\"tool\":\"fail_at_once\",\"args\":{\"message\":\"no\"}}");
    expect_problem(&answer, 500, "python_error");
    answer_deinit(&answer);
    answer = client_post(client, "/stream", "{\"tool\":\"plain\"}");
    expect_problem(&answer, 501, "streaming_not_supported");
    answer_deinit(&answer);
}
WITH_CLIENT(a_tool_that_fails_before_its_first_value_has_a_status)

/* --- coming back and leaving --- */

static void a_kept_stream_is_read_on_from_where_one_left_body(void)
{
    struct events events;
    char path[200];
    struct answer answer =
        stream("{\"tool\":\"count\",\"args\":{\"n\":3},\"on_disconnect\":\"detach\"}",
               "text/event-stream");
    snprintf(path, sizeof(path), "/calls/%s/events", answer_header(&answer, "x-request-id"));
    answer_deinit(&answer);
    answer = client_send(
        client, &(struct request){.path = path,
                                  .headers = (const char *const[]){"last-event-id: 3", NULL}});
    ck_assert_int_eq(answer.status, 200);
    read_events(answer.body, &events);
    ck_assert_uint_eq(events.count, 2);
    assert_numbered(&events, 4);
    ck_assert_str_eq(events.list[1].name, "done");
    events_deinit(&events);
    answer_deinit(&answer);
}
WITH_CLIENT(a_kept_stream_is_read_on_from_where_one_left)

/* The only worker is free again long before the tool would have ended by itself. */
START_TEST(a_reader_that_leaves_takes_its_tool_along)
{
    const char *body = "{\"tool\":\"count\",\"args\":{\"n\":6000,\"seconds\":0.01}}";
    const struct request request = {
        .path = "/stream", .body = body, .content_type = "application/json"};
    client = client_new(gateway_port(gateway), false);
    struct pending *reader = client_send_later(gateway_port(gateway), _i == 1, &request);
    wait_for_number("inflight", 1);
    pending_leave(&reader);
    ck_assert_double_lt(wait_for_number("inflight", 0), 10);
    client_free(&client);
}
END_TEST

int main(void)
{
    TCase *streams = tcase_create("streams");
    tcase_add_unchecked_fixture(streams, start_gateway, stop_gateway);
    ADD_BOTH(streams, events_are_numbered_from_start_to_done);
    ADD_BOTH(streams, lines_of_json_have_the_same_events);
    ADD_BOTH(streams, an_exception_in_mid_stream_is_an_event);
    ADD_BOTH(streams, a_tool_that_fails_before_its_first_value_has_a_status);
    ADD_BOTH(streams, a_kept_stream_is_read_on_from_where_one_left);
    ADD_BOTH(streams, a_reader_that_leaves_takes_its_tool_along);
    return run_tcases((TCase *[]){streams, NULL});
}
