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

/* What a running call asks of the gateway, see ToolCall in bridge.proto. */
struct tool_call {
    uint64_t call_id;
    uint64_t id;
    struct bytes tool;
    struct bytes args;
    struct bytes content_type; /* empty means JSON */
    uint64_t timeout_us;       /* 0: none of its own */
    bool idempotent;
    bool cancel;
};

struct tool_reply {
    uint64_t id;
    struct bytes body;
    struct bytes content_type;
    const struct call_failure *failure; /* NULL: it went well */
};

enum session_op_kind { SESSION_OP_READ, SESSION_OP_LIST, SESSION_OP_WRITE };

/* What a running call does with variables, see SessionOp in bridge.proto. */
struct session_op {
    uint64_t id;
    struct bytes session_id;
    enum session_op_kind kind;
    struct bytes *names;
    size_t name_count;
    struct variable_write *writes;
    size_t write_count;
};

struct session_reply {
    uint64_t id;
    const char *code, *detail; /* NULL: it is done */
    struct bytes name;
    uint64_t version;
    const struct variable *variables; /* those without a name are left out */
    size_t count;
    uint64_t revision;
};

/* Add one message to the frame in the buffer. `remaining_us`: the time the call has left; `shared`:
 * the arguments went ahead as a descriptor of call->shared. */
void frame_add_welcome(struct buffer *frame);
void frame_add_invoke(struct buffer *frame, uint64_t call_id, const struct call *call, bool shared,
                      uint64_t remaining_us, bool session_begins);
void frame_add_ended_session(struct buffer *frame, struct bytes id);
void frame_add_cancel(struct buffer *frame, uint64_t call_id);
void frame_add_credit(struct buffer *frame, uint64_t call_id, uint64_t bytes);
void frame_add_tool_reply(struct buffer *frame, const struct tool_reply *reply);
void frame_add_session_reply(struct buffer *frame, const struct session_reply *reply);
void frame_add_invalidation(struct buffer *frame, struct bytes session_id, uint64_t revision);
void frame_add_ping(struct buffer *frame, uint64_t sequence);
void frame_add_stop(struct buffer *frame, uint64_t grace_us, bool refork);

/* Says of a frame that nothing but invocations was added to it. Nothing may be added afterwards. */
void frame_mark_only_invokes(struct buffer *frame);

/* At most so many bytes are added by frame_add_invoke() for this call. */
size_t frame_invoke_size(const struct call *call, bool shared);

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
