#include "bridge/session_op.h"

/* A worker that asks for more than this and does not read it is refused. Bytes. */
enum { UNREAD_MAX_BYTES = 64 << 20 };

static void fail(struct session_reply *reply, const char *code, const char *detail)
{
    reply->code = code;
    reply->detail = detail;
}

static void fail_ended(struct session_reply *reply)
{
    fail(reply, "session_not_found", "there is no session of that id; it may have expired");
}

/* What is read then is at least as new as the revision, and from it on the reader is told. False:
 * the session has ended, and may have done so before. */
static bool begin_reading(struct session *session, const struct variables_reader *reader,
                          struct session_reply *reply)
{
    variables_watch(session, reader);
    reply->revision = variables_revision(session);
    if (session_has_ended(session))
        fail_ended(reply);
    return !reply->code;
}

static void read_some(struct session *session, const struct variables_reader *reader,
                      const struct session_op *op, struct arena *arena, struct session_reply *reply)
{
    struct variable *found = arena_alloc(arena, op->name_count * sizeof *found);
    if (!begin_reading(session, reader, reply))
        return;
    reply->variables = found;
    if (variables_read(session, op->names, op->name_count, arena, found))
        reply->count = op->name_count;
    else
        fail(reply, "invalid_request", "a variable is asked for twice");
}

static void list(struct session *session, const struct variables_reader *reader,
                 struct arena *arena, struct session_reply *reply)
{
    if (begin_reading(session, reader, reply))
        reply->variables = variables_list(session, arena, &reply->count);
}

static void write_all(struct session *session, const struct variables_reader *reader,
                      const struct session_op *op, struct arena *arena, struct session_reply *reply)
{
    struct variables_refusal *refusal = arena_alloc(arena, sizeof *refusal);
    struct variables_written written = {
        .variables = arena_alloc(arena, op->write_count * sizeof *written.variables)};
    if (!variables_write(session, op->writes, op->write_count, reader, &written, refusal)) {
        fail(reply, variables_code(refusal->verdict), variables_detail(refusal));
        reply->name = op->writes[refusal->index].name;
        reply->version = refusal->verdict == VARIABLES_CONFLICT ? refusal->version : 0;
        return;
    }
    reply->revision = written.revision;
    reply->variables = written.variables;
    reply->count = op->write_count;
}

static void run(struct session *session, const struct variables_reader *reader,
                const struct session_op *op, struct arena *arena, struct session_reply *reply)
{
    switch (op->kind) {
    case SESSION_OP_READ:
        read_some(session, reader, op, arena, reply);
        break;
    case SESSION_OP_LIST:
        list(session, reader, arena, reply);
        break;
    case SESSION_OP_WRITE:
        write_all(session, reader, op, arena, reply);
        break;
    }
}

/* The session that is meant, with a reference, or NULL: one that bears its id now is another. */
static struct session *find(struct session_store *store, const struct session_op *op)
{
    struct session *session = session_find(store, op->session_id);
    if (session && op->session_number && op->session_number != session->number)
        session_unref(&session);
    return session;
}

void session_op_answer(struct session_store *store, const struct variables_reader *reader,
                       const struct session_op *op, struct link *link)
{
    struct arena *arena = arena_new(0);
    struct session_reply reply = {.call_id = op->call_id, .id = op->id, .memory = arena};
    struct session *session = find(store, op);
    if (!session)
        fail_ended(&reply);
    else if (op->lost)
        fail(&reply, "transfer_failed", "the memory that holds a value did not come");
    else if (link_unwritten_replies(link) > UNREAD_MAX_BYTES)
        fail(&reply, "overloaded", "the worker asks for more variables than it reads");
    else
        run(session, reader, op, arena, &reply);
    link_add_session_reply(link, &reply);
    session_unref(&session);
    arena_unref(&arena);
}
