/* The events of a stream, under several readers that come, read in pieces, leave and come back:
 * each event is whole, in order and told once to each reader, what a reader has missed is told by a
 * gap, memory stays within bounds, and each emission is paid for once.
 *
 * The input is a program: a byte that says what happens, a byte of argument, and for events so many
 * bytes of data. */
#include "base/json.h"
#include "fuzz.h"
#include "pool/call.h"
#include "server/calls/event_log.h"

#include <string.h>

enum { KEEP_MAX = 2000, TOLD_MAX = 1 << 20, READERS = 3 };

static struct event_log event_log;
static uint64_t cost, paid;

static struct listener {
    struct event_reader reader;
    uint64_t expected; /* the id of the event that it is told next */
    enum event_format format;
    bool reads;
    char told[TOLD_MAX];
    size_t told_len;
} listeners[READERS];

static struct bytes take(struct bytes *input, size_t count)
{
    struct bytes piece = bytes_from(input->data, count < input->len ? count : input->len);
    *input = bytes_skip(*input, piece.len);
    return piece;
}

static void add(enum event_kind kind, struct bytes data)
{
    if (!json_check(data, JSON_MAX_DEPTH - 1, NULL, NULL))
        return;
    if (kind == EVENT_CHUNK || kind == EVENT_PROGRESS || kind == EVENT_LOG)
        cost += data.len + EMISSION_OVERHEAD;
    event_log_add(&event_log, kind, data);
}

static void collect(void)
{
    paid += event_log.owed;
    event_log.owed = 0;
}

static void expect_event(struct listener *listener, uint64_t id, bool gap)
{
    fuzz_require(gap ? id >= listener->expected : id == listener->expected,
                 "events come in order, each once");
    listener->expected = id + 1;
}

/* {"id":…,"event":…,"data":…} */
static void check_line(struct listener *listener, struct bytes line)
{
    struct json_cursor cursor = {0};
    struct bytes key;
    struct json_value id, name, data, value;
    fuzz_require(json_check(line, JSON_MAX_DEPTH, &value, NULL), "a line is JSON");
    bool whole =
        json_next(value.raw, &cursor, &key, &id) && json_next(value.raw, &cursor, &key, &name) &&
        json_next(value.raw, &cursor, &key, &data) && !json_next(value.raw, &cursor, &key, &value);
    fuzz_require(whole, "a line has three members");
    expect_event(listener, strtoull(id.raw.data, NULL, 10),
                 bytes_equal(name.raw, BYTES("\"gap\"")));
}

static struct bytes next_line(struct bytes *text)
{
    const char *end = memchr(text->data, '\n', text->len);
    fuzz_require(end, "a line ends");
    struct bytes line = bytes_from(text->data, (size_t)(end - text->data));
    *text = bytes_skip(*text, line.len + 1);
    return line;
}

static bool begins(struct bytes line, struct bytes with)
{
    return line.len >= with.len && memcmp(line.data, with.data, with.len) == 0;
}

/* id: …, event: …, data: …, and an empty line. */
static void check_block(struct listener *listener, struct bytes *text)
{
    struct bytes id = next_line(text), name = next_line(text), data = next_line(text);
    fuzz_require(begins(id, BYTES("id: ")) && begins(name, BYTES("event: ")) &&
                     begins(data, BYTES("data: ")) && next_line(text).len == 0,
                 "a block has three lines and an empty one");
    fuzz_require(json_check(bytes_skip(data, 6), JSON_MAX_DEPTH, NULL, NULL), "data is JSON");
    expect_event(listener, strtoull(id.data + 4, NULL, 10), bytes_equal(name, BYTES("event: gap")));
}

/* What it has been told in full is right. */
static void check_told(struct listener *listener, bool all)
{
    const char *mark = listener->format == EVENT_SSE ? "\n\n" : "\n", *told = listener->told;
    size_t mark_len = strlen(mark), len = listener->told_len;
    while (len >= mark_len && memcmp(told + len - mark_len, mark, mark_len) != 0)
        len--;
    len = len < mark_len ? 0 : len;
    fuzz_require(!all || len == listener->told_len, "the last event is whole");
    struct bytes text = bytes_from(told, len);
    while (text.len) {
        if (listener->format == EVENT_SSE)
            check_block(listener, &text);
        else
            check_line(listener, next_line(&text));
    }
    listener->told_len = 0;
}

static void leave(struct listener *listener)
{
    if (listener->reads)
        check_told(listener, !event_log_waits(&event_log, &listener->reader));
    listener->reads = false;
    event_log_unfollow(&event_log, &listener->reader);
}

static void follow(struct listener *listener, unsigned argument)
{
    leave(listener);
    uint64_t had = argument & 0x7f;
    had = had < event_log.count ? had : event_log.count;
    listener->format = argument & 0x80 ? EVENT_SSE : EVENT_NDJSON;
    event_log_follow(&event_log, &listener->reader, had);
    listener->expected = had + 1;
    listener->reads = true;
}

static void read_some(struct listener *listener, size_t size)
{
    if (!listener->reads || listener->told_len + size > TOLD_MAX)
        return;
    size_t len = event_log_read(&event_log, &listener->reader, listener->format,
                                listener->told + listener->told_len, size);
    fuzz_require(len <= size, "a read stays within its room");
    listener->told_len += len;
}

static void leave_all(void)
{
    for (unsigned i = 0; i < READERS; i++)
        leave(&listeners[i]);
    fuzz_require(event_log.first == event_log.last || event_log.bytes <= event_log.keep,
                 "no more is held than should be");
}

static void do_next(struct bytes *input)
{
    unsigned what = (unsigned char)take(input, 1).data[0];
    struct bytes next = take(input, 1);
    unsigned argument = next.len ? (unsigned char)next.data[0] : 0;
    struct listener *listener = &listeners[what / 4 % READERS];
    switch (what % 4) {
    case 0:
        add((enum event_kind)(what / 4 % EVENT_GAP), take(input, argument));
        break;
    case 1:
        follow(listener, argument);
        break;
    case 2:
        read_some(listener, argument);
        break;
    case 3:
        leave(listener);
        break;
    }
    collect();
    fuzz_require(paid <= cost, "nothing is paid for twice");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_from(data, size);
    cost = paid = 0;
    struct bytes keep = take(&input, 1);
    event_log_init(&event_log);
    event_log.keep = keep.len ? (unsigned char)keep.data[0] * KEEP_MAX / UINT8_MAX : 0;
    for (unsigned i = 0; i < READERS; i++)
        list_init(&listeners[i].reader.place);
    while (input.len)
        do_next(&input);
    leave_all();
    collect();
    fuzz_require(paid == cost, "everything is paid for");
    event_log_deinit(&event_log);
    return 0;
}
