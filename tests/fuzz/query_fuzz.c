/* Percent-encoding, and the query of GET /stream: what is encoded is decoded to what it was, a
 * query comes to its end, and what is accepted has a tool and object arguments. */
#include "base/json.h"
#include "fuzz.h"
#include "server/calls/envelope.h"
#include "server/http/percent.h"

static void check_segment(struct bytes text, struct arena *arena)
{
    struct buffer encoded = {0};
    percent_add(&encoded, text);
    struct bytes segment = buffer_bytes(&encoded);
    fuzz_require(percent_is_good(segment), "what is encoded can be decoded");
    fuzz_require(bytes_equal(percent_decode(segment, arena), text), "to what it was");
    buffer_deinit(&encoded);
}

static void check_parts(struct bytes query, struct arena *arena)
{
    struct bytes rest = query, name, value;
    size_t before = rest.len + 1;
    while (percent_next(&rest, arena, &name, &value)) {
        fuzz_require(rest.len < before, "each part takes something away");
        fuzz_require(name.len + value.len <= query.len, "decoding does not make it longer");
        before = rest.len;
    }
    fuzz_require(rest.len == 0 || !percent_is_good(query), "a good query is read to its end");
}

static void check_request(struct bytes query, struct arena *arena)
{
    struct invocation_request request;
    struct member_fault fault;
    struct json_value args;
    if (!envelope_read_query(query, arena, &request, &fault))
        fuzz_require(fault.code && fault.detail, "what is refused has a reason");
    else
        fuzz_require(request.tool.len &&
                         json_check(request.args, ENVELOPE_MAX_DEPTH, &args, NULL) &&
                         args.type == JSON_TYPE_OBJECT,
                     "what is accepted has a tool and object arguments");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(0);
    struct bytes input = bytes_from(data, size);
    check_segment(input, arena);
    check_parts(input, arena);
    check_request(input, arena);
    arena_unref(&arena);
    return 0;
}
