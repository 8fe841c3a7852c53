/* What running calls of the shadow ask for: other calls, and things that need no worker. */
#include "model.h"

#include "base/mem.h"
#include "pool/deadlock.h"
#include "pool/nested.h"

#include <stdlib.h>

static void forget(struct ask *ask)
{
    list_remove(&ask->known);
    free(ask);
}

/* Its parent waits for it no more. */
static void leave(struct ask *ask)
{
    HOLDS(!ask->over);
    COMPARE(ask->parent->asks, >, 0);
    ask->parent->asks--;
    ask->over = true;
}

static void on_give_up(struct nested *nested)
{
    struct ask *ask = CONTAINER_OF(nested, struct ask, nested);
    struct promise *child = ask->child;
    HOLDS(!nested->timed_out || ask->due_us <= model_now_us);
    leave(ask);
    if (!child) {
        forget(ask);
        return;
    }
    child->abandoned = child->call->state == CALL_QUEUED;
    child->cancelled = true;
    pool_cancel(child->call->tool->pool, child->call);
    COMPARE(child->call->state, ==, CALL_DONE);
}

/* What goes over from the call that asks; the session comes with nested_begin(). */
static struct promise *inherit(struct model *model, struct promise *parent)
{
    struct promise *child = model_promise(model);
    struct call *call = child->call;
    call->depth = parent->call->depth + 1;
    call->root = call_ref(parent->call->root ? parent->call->root : parent->call);
    child->session = parent->session;
    child->instance = parent->instance;
    child->strict = parent->strict;
    return child;
}

static struct ask *new_ask(struct model *model, struct promise *parent)
{
    struct ask *ask = MEM_NEW(struct ask);
    ask->parent = parent;
    ask->nested.id = ++model->next_ask;
    ask->nested.give_up = on_give_up;
    ask->due_us = UINT64_MAX;
    if (roll(model, 3) && model->promise_count < MODEL_CALLS) {
        ask->child = inherit(model, parent);
        ask->child->asked_by = ask;
        ask->nested.call = ask->child->call;
    } else if (roll(model, 2)) {
        ask->nested.timeout_us = 1 + roll(model, 500000);
        ask->due_us = model_now_us + ask->nested.timeout_us;
    }
    list_push_back(&model->asks, &ask->known);
    return ask;
}

static void discard(struct ask *ask)
{
    if (ask->child) {
        call_unref(&ask->child->call);
        free(ask->child);
    }
    forget(ask);
}

/* The call is submitted, unless it could never run. */
static void submit(struct model *model, struct ask *ask, uint64_t left_us)
{
    struct call *call = ask->child->call;
    if (call->timeout_us > left_us)
        call->timeout_us = left_us;
    if (!deadlock_closes(call)) {
        model_submit(model, ask->child);
        return;
    }
    HOLDS(nested_end(model->pool, &ask->nested));
    leave(ask);
    discard(ask);
}

static void begin(struct model *model, struct promise *parent)
{
    uint64_t left_us = 0, number = 0;
    struct ask *ask = new_ask(model, parent);
    enum nested_verdict verdict =
        nested_begin(model->pool, parent->call, &ask->nested, MODEL_ASKS, &left_us, &number);
    COMPARE(verdict, ==, parent->asks < MODEL_ASKS ? NESTED_BEGUN : NESTED_TOO_MANY);
    if (verdict != NESTED_BEGUN) {
        discard(ask);
        return;
    }
    COMPARE(left_us, >=, 1);
    HOLDS(left_us == 1 || model_now_us + left_us <= parent->deadline_us);
    parent->asks++;
    if (ask->child)
        submit(model, ask, left_us);
}

void model_ask(struct model *model, struct process *process)
{
    if (process->job_count == 0)
        return;
    const struct job *job = process->jobs[roll(model, process->job_count)];
    if (job->started && job->promise && job->promise->call->depth < 3)
        begin(model, job->promise);
    process->asked = true;
}

/* One that waits, of those with a call or without; or NULL. */
static struct ask *any_ask(struct model *model, bool with_call)
{
    LIST_FOREACH (&model->asks, node, next) {
        struct ask *ask = CONTAINER_OF(node, struct ask, known);
        if (!ask->over && (ask->child != NULL) == with_call && roll(model, 2))
            return ask;
    }
    return NULL;
}

void model_answer_ask(struct model *model)
{
    struct ask *ask = any_ask(model, false);
    if (!ask)
        return;
    HOLDS(nested_end(model->pool, &ask->nested));
    leave(ask);
    forget(ask);
}

void model_drop_ask(struct model *model)
{
    struct ask *ask = any_ask(model, roll(model, 2));
    if (!ask)
        return;
    const struct inflight *entry = ask->parent->call->inflight;
    struct worker_ref worker = entry->worker->ref;
    const struct promise *parent = ask->parent;
    unsigned before = parent->asks;
    pool_give_up_nested(model->pool, worker, entry->id, ask->nested.id);
    COMPARE(parent->asks, ==, before - 1);
}

void model_end_ask(struct model *model, struct promise *promise)
{
    struct ask *ask = promise->asked_by;
    if (!ask)
        return;
    COMPARE(nested_end(model->pool, &ask->nested), ==, !ask->over);
    if (!ask->over)
        leave(ask);
    forget(ask);
}

/* Those whose parents have ended were given up. */
void model_check_asks(struct model *model, unsigned *out_timers)
{
    LIST_FOREACH (&model->asks, node, next) {
        const struct ask *ask = CONTAINER_OF(node, struct ask, known);
        HOLDS(!ask->over);
        COMPARE(heap_holds(&ask->nested.timer.node), ==, ask->due_us != UINT64_MAX);
        *out_timers += ask->due_us != UINT64_MAX;
    }
    for (unsigned i = 0; i < model->promise_count; i++)
        COMPARE(model->promises[i]->call->nested_count, ==, model->promises[i]->asks);
    for (unsigned i = 0; i < MODEL_SEATS; i++) {
        const struct process *process = &model->processes[i];
        unsigned nesting = 0;
        for (unsigned j = 0; process->alive && j < process->job_count; j++)
            nesting += process->jobs[j]->promise && process->jobs[j]->promise->asks;
        COMPARE(nesting, ==, process->alive ? model->pool->workers[i].nesting : 0);
    }
}
