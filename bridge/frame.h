/* Frames of the bridge protocol (proto/snakepit/bridge/v1/bridge.proto): bytes to structs and back.
 *
 * A frame that goes out is built by adding messages to a buffer: protobuf allows the members of a
 * repeated field to be written one by one. One that comes in is unpacked into an arena. Pure
 * functions, any thread. */
#ifndef SNAKEPIT_BRIDGE_FRAME_H
#define SNAKEPIT_BRIDGE_FRAME_H

#include "base/arena.h"
#include "base/buffer.h"
#include "bridge/telemetry.h"
#include "pool/runtime.h"
#include "pool/tool.h"
#include "pool/variables.h"

#include <stdbool.h>
#include <stdint.h>

enum { BRIDGE_PROTOCOL_VERSION = 1, START_TOKEN_BYTES = 16 };

/* Largest value: the arguments of a call, the body of a result. Bytes. */
enum { VALUE_MAX_BYTES = 64 << 20 };

/* Largest frame that is accepted or sent: the largest value with room to spare. Bytes. */
enum { FRAME_MAX_BYTES = 68 << 20 };

/* Where a large value is that does not lie in its message, see Parcel in bridge.proto. `id` 0: it
 * does. */
struct parcel {
    uint64_t id;
    size_t offset;
    size_t size;
};

/* A piece of one on its way, see Part there. */
struct part {
    uint64_t id;
    size_t size;
    struct bytes data;
};

/* A value that is to be fetched before its message is dealt with. */
struct arrival {
    struct arrival *next;
    struct parcel parcel;
    struct bytes *value;    /* where it goes */
    struct shared **shared; /* and the memory in which it lies, to be passed on; or NULL */
    bool *lost;             /* what is set when it did not come */
};

/* Large values in parts, see Transfer in bridge.proto: bytes of a part, bytes of parts that are on
 * their way, and messages whose parcels take turns. */
enum { PART_BYTES = 128 << 10, PARTS_WINDOW = 1 << 20, PARCELS_OPEN = 4 };

/* What a running call asks of the gateway, see ToolCall in bridge.proto. */
struct tool_call {
    uint64_t call_id;
    uint64_t id;
    struct bytes tool;
    struct bytes pool; /* that is to run it; or empty */
    struct bytes args;
    struct shared *shared;     /* in which args lie, if that can be passed on; or NULL */
    struct bytes content_type; /* empty means JSON */
    uint64_t timeout_us;       /* 0: none of its own */
    struct bytes trace_id;     /* of the span that it is asked for within, not checked; or empty */
    struct bytes span_id;
    bool idempotent;
    bool cancel;
    bool lost; /* large args did not come */
};

struct tool_reply {
    uint64_t call_id; /* of the call that asked */
    uint64_t id;
    struct bytes body;
    struct shared *shared; /* in which the body lies, if that can be passed on; or NULL */
    struct arena *memory;  /* in which the body lies, of which references may be taken; or NULL */
    struct bytes content_type;
    const struct call_failure *failure; /* NULL: it went well */
    struct parcel parcel;               /* the link's: where the body is instead */
};

enum session_op_kind { SESSION_OP_READ, SESSION_OP_LIST, SESSION_OP_WRITE };

/* What a running call does with variables, see SessionOp in bridge.proto. */
struct session_op {
    uint64_t call_id; /* of the call that asks */
    uint64_t id;
    struct bytes session_id;
    uint64_t session_number; /* 0: of whichever session has that id */
    enum session_op_kind kind;
    struct bytes *names;
    size_t name_count;
    struct variable_write *writes;
    size_t write_count;
    bool lost; /* a large value did not come */
};

struct session_reply {
    uint64_t call_id; /* of the call that asked */
    uint64_t id;
    const char *code, *detail; /* NULL: it is done */
    struct bytes name;
    uint64_t version;
    const struct variable *variables; /* those without a name are left out */
    size_t count;
    struct arena *memory;   /* in which their values lie, of which references may be taken */
    struct parcel *parcels; /* the link's: where values are instead, or NULL */
    uint64_t revision;
};

/* Add one message to the frame in the buffer. `remaining_us`: the time the call has left; `parcel`:
 * where its arguments are, if they are not in the message. */
void frame_add_welcome(struct buffer *frame);
void frame_add_invoke(struct buffer *frame, uint64_t call_id, const struct call *call,
                      const struct parcel *parcel, uint64_t remaining_us, bool session_begins);
void frame_add_ended_session(struct buffer *frame, struct bytes id);
void frame_add_cancel(struct buffer *frame, uint64_t call_id, bool recall);
void frame_add_credit(struct buffer *frame, uint64_t call_id, uint64_t bytes);
void frame_add_tool_reply(struct buffer *frame, const struct tool_reply *reply);
void frame_add_session_reply(struct buffer *frame, const struct session_reply *reply);
void frame_add_invalidation(struct buffer *frame, uint64_t session, uint64_t revision);
void frame_add_part(struct buffer *frame, const struct part *part);
void frame_add_taken(struct buffer *frame, uint64_t bytes);
void frame_add_dropped(struct buffer *frame, uint64_t parcel_id);
void frame_add_ping(struct buffer *frame, uint64_t sequence);
void frame_add_stop(struct buffer *frame, uint64_t grace_us, bool refork);

/* Says of a frame that nothing but invocations was added to it. Nothing may be added afterwards. */
void frame_mark_only_invokes(struct buffer *frame);

/* At most so many bytes are added by frame_add_invoke() for this call, whose arguments may have
 * gone ahead. */
size_t frame_invoke_size(const struct call *call, bool ahead);

struct frame_hello {
    unsigned protocol_version;
    struct bytes worker_id;
    struct bytes token;
    struct worker_hello worker;
    struct tool_spec *tools;
    size_t tool_count;
};

/* A worker's frame; everything lies in the arena it was read into. */
struct worker_frame {
    struct frame_hello *hello;  /* NULL when absent */
    uint64_t pong;              /* sequence of the ping that was answered, 0 when none was */
    const struct bytes *loaded; /* with the pong: labels of what is loaded */
    size_t loaded_count;
    bool recycle; /* the worker wants to be replaced */
    struct worker_batch *batches;
    size_t batch_count;
    struct part *parts;
    size_t part_count;
    uint64_t taken;          /* bytes of parts, 0: it does not say */
    const uint64_t *dropped; /* parcels that will not come whole; to be handled before the parts */
    size_t dropped_count;
    struct arrival *arrivals; /* values of the following that are still to be fetched, in order */
    struct arrival *last_arrival;
    struct tool_call *tool_calls;
    size_t tool_call_count;
    struct session_op *session_ops;
    size_t session_op_count;
    struct worker_emission *emissions;
    size_t emission_count;
    struct worker_answer *answers;
    size_t answer_count;
    struct telemetry_batch *telemetry; /* NULL when absent */
};

/* Reads a frame. False: it is not one, and the worker that sent it cannot be trusted any more. */
bool frame_read(struct bytes data, struct arena *arena, struct worker_frame *out_frame)
    __attribute__((warn_unused_result));

#endif
