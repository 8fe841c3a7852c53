/* The events of a stream, under readers that come, read in pieces, leave and come back: each event
 * is whole, in order and told once to each reader, what a reader has missed is told by a gap,
 * memory stays within bounds, and each emission is paid for once.
 *
 * The input is a program: a byte that says what happens, a byte of argument, and for events so many
 * bytes of data. */
#include "base/json.h"
#include "fuzz.h"
#include "pool/call.h"
#include "server/event_log.h"

#include <string.h>

enum { KEEP_MAX = 2000, TOLD_MAX = 1 << 20 };

static struct event_log event_log;
static uint64_t cost, paid, expected; /* the id of the event that the reader is told next */
static enum event_format format;
static bool reads;
static char told[TOLD_MAX];
static size_t told_len;

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

static void expect_event(uint64_t id, bool gap)
{
    fuzz_require(gap ? id >= expected : id == expected, "events come in order, each once");
    expected = id + 1;
}

/* {"id":…,"event":…,"data":…} */
static void check_line(struct bytes line)
{
    struct json_cursor cursor = {0};
    struct bytes key;
    struct json_value id, name, data, value;
    fuzz_require(json_check(line, JSON_MAX_DEPTH, &value, NULL), "a line is JSON");
    bool whole =
        json_next(value.raw, &cursor, &key, &id) && json_next(value.raw, &cursor, &key, &name) &&
        json_next(value.raw, &cursor, &key, &data) && !json_next(value.raw, &cursor, &key, &value);
    fuzz_require(whole, "a line has three members");
    expect_event(strtoull(id.raw.data, NULL, 10), bytes_equal(name.raw, BYTES("\"gap\"")));
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
static void check_block(struct bytes *text)
{
    struct bytes id = next_line(text), name = next_line(text), data = next_line(text);
    fuzz_require(begins(id, BYTES("id: ")) && begins(name, BYTES("event: ")) &&
                     begins(data, BYTES("data: ")) && next_line(text).len == 0,
                 "a block has three lines and an empty one");
    fuzz_require(json_check(bytes_skip(data, 6), JSON_MAX_DEPTH, NULL, NULL), "data is JSON");
    expect_event(strtoull(id.data + 4, NULL, 10), bytes_equal(name, BYTES("event: gap")));
}

/* What the reader has been told in full is right. */
static void check_told(bool all)
{
    const char *mark = format == EVENT_SSE ? "\n\n" : "\n";
    size_t mark_len = strlen(mark), len = told_len;
    while (len >= mark_len && memcmp(told + len - mark_len, mark, mark_len) != 0)
        len--;
    len = len < mark_len ? 0 : len;
    fuzz_require(!all || len == told_len, "the last event is whole");
    struct bytes text = bytes_from(told, len);
    while (text.len) {
        if (format == EVENT_SSE)
            check_block(&text);
        else
            check_line(next_line(&text));
    }
    told_len = 0;
}

static void stop_reading(void)
{
    if (reads)
        check_told(!event_log_waits(&event_log));
    reads = false;
}

static void follow(unsigned argument)
{
    stop_reading();
    uint64_t had = argument & 0x7f;
    had = had < event_log.count ? had : event_log.count;
    format = argument & 0x80 ? EVENT_SSE : EVENT_NDJSON;
    event_log_follow(&event_log, had);
    expected = had + 1;
    reads = true;
}

static void read_some(size_t size)
{
    if (told_len + size > TOLD_MAX)
        return;
    size_t len = event_log_read(&event_log, format, told + told_len, size);
    fuzz_require(len <= size, "a read stays within its room");
    fuzz_require(reads || len == 0, "nobody reads");
    told_len += len;
}

static void do_next(struct bytes *input)
{
    unsigned what = (unsigned char)take(input, 1).data[0];
    struct bytes next = take(input, 1);
    unsigned argument = next.len ? (unsigned char)next.data[0] : 0;
    switch (what % 4) {
    case 0:
        add((enum event_kind)(what / 4 % EVENT_GAP), take(input, argument));
        break;
    case 1:
        follow(argument);
        break;
    case 2:
        read_some(argument);
        break;
    case 3:
        stop_reading();
        event_log_unfollow(&event_log);
        fuzz_require(event_log.bytes <= event_log.keep, "no more is held than should be");
        break;
    }
    collect();
    fuzz_require(paid <= cost, "nothing is paid for twice");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_from(data, size);
    cost = paid = told_len = 0;
    reads = false;
    struct bytes keep = take(&input, 1);
    event_log_init(&event_log, keep.len ? (unsigned char)keep.data[0] * KEEP_MAX / UINT8_MAX : 0);
    while (input.len)
        do_next(&input);
    stop_reading();
    event_log_unfollow(&event_log);
    collect();
    fuzz_require(paid == cost, "everything is paid for");
    event_log_deinit(&event_log);
    return 0;
}
