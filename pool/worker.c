#include "pool/worker.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

static const unsigned char moves[] = {
    [WORKER_VACANT] = 1u << WORKER_STARTING,
    [WORKER_STARTING] = 1u << WORKER_READY | 1u << WORKER_DRAINING | 1u << WORKER_VACANT,
    [WORKER_READY] = 1u << WORKER_DRAINING | 1u << WORKER_VACANT,
    [WORKER_DRAINING] = 1u << WORKER_VACANT,
};

static const char *const state_names[] = {
    [WORKER_VACANT] = "vacant",
    [WORKER_STARTING] = "starting",
    [WORKER_READY] = "ready",
    [WORKER_DRAINING] = "draining",
};

void worker_init(struct worker *worker, unsigned seat)
{
    *worker = (struct worker){.ref.seat = seat};
    list_init(&worker->free_place);
    list_init(&worker->awaited_place);
    queue_init(&worker->waiting);
    list_init(&worker->sent);
    list_init(&worker->unused);
}

void worker_deinit(struct worker *worker)
{
    free(worker->inflight);
    worker->inflight = NULL;
    worker->room = 0;
}

void worker_move(struct worker *worker, enum worker_state next)
{
    if (!(moves[worker->state] & 1u << next)) {
        fprintf(stderr, "snakepit: a worker cannot go from %s to %s\n", state_names[worker->state],
                state_names[next]);
        abort();
    }
    worker->state = next;
}

const char *worker_state_name(enum worker_state state)
{
    return state_names[state];
}

static void make_room(struct worker *worker)
{
    worker->room = worker->slots > INFLIGHT_USUAL ? worker->slots : INFLIGHT_USUAL;
    worker->inflight = mem_array(worker->room, sizeof *worker->inflight);
    list_init(&worker->unused);
    for (unsigned i = 0; i < worker->room; i++) {
        worker->inflight[i].worker = worker;
        list_init(&worker->inflight[i].mates);
        list_push_back(&worker->unused, &worker->inflight[i].order);
    }
}

void worker_begin(struct worker *worker, const char *pool, uint64_t number, uint64_t now_us)
{
    worker_move(worker, WORKER_STARTING);
    worker->ref.number = number;
    snprintf(worker->id, sizeof worker->id, "%s-%llu", pool, (unsigned long long)number);
    worker->pid = 0;
    worker->slots = 0;
    worker->next_sequence = 1;
    worker->started_us = now_us;
    worker->ready_us = 0;
    worker->calls_done = 0;
    worker->bound = 0;
    worker->outdated = worker->retiring = NULL;
    worker->proven = worker->premature = false;
    worker->loaded_count = 0;
    worker->resident = 0;
    worker->leaving = worker->lost = worker->stalled = worker->late = false;
    worker->is_template = worker->loss_noted = false;
    worker->killed_for = NULL;
    worker->nesting = 0;
    worker->sharing = 0;
    worker->latest = NULL;
    queue_init(&worker->waiting);
}

void worker_ready(struct worker *worker, const struct worker_hello *hello, uint64_t now_us)
{
    worker_move(worker, WORKER_READY);
    worker->pid = hello->pid;
    worker->slots = hello->slots;
    worker->ready_us = now_us;
    make_room(worker);
}

void worker_end(struct worker *worker)
{
    worker_move(worker, WORKER_VACANT);
    worker_deinit(worker);
}

struct inflight *worker_take(struct worker *worker, struct call *call, uint64_t cost_us,
                             uint64_t now_us)
{
    struct inflight *entry = CONTAINER_OF(worker->unused.next, struct inflight, order);
    list_remove(&entry->order);
    entry->id = worker->next_sequence++ << INFLIGHT_BITS | (uint64_t)(entry - worker->inflight);
    entry->call = call;
    worker->latest = call->tool;
    entry->recalled = false;
    entry->cost_us = cost_us;
    entry->sent_us = now_us;
    list_push_back(&worker->sent, &entry->order);
    worker->inflight_count++;
    worker->backlog_us += cost_us;
    return entry;
}

struct inflight *worker_find(struct worker *worker, uint64_t id)
{
    uint64_t index = id & (INFLIGHT_MAX - 1);
    bool holds = id != 0 && index < worker->room && worker->inflight[index].id == id;
    return holds ? &worker->inflight[index] : NULL;
}

void worker_join(struct worker *worker, const struct worker_batch *batch)
{
    struct inflight *first = NULL;
    for (size_t i = 0; i < batch->count; i++) {
        struct inflight *entry = worker_find(worker, batch->call_ids[i]);
        if (!entry || entry == first || !list_empty(&entry->mates))
            continue;
        if (first) {
            list_insert_before(&first->mates, &entry->mates);
            worker->sharing++;
        } else {
            first = entry;
        }
    }
}

void worker_release(struct worker *worker, struct inflight *entry)
{
    worker->sharing -= !list_empty(&entry->mates);
    list_remove(&entry->mates);
    worker->inflight_count--;
    worker->backlog_us -= entry->cost_us;
    entry->id = 0;
    entry->call = NULL;
    list_remove(&entry->order);
    list_push_front(&worker->unused, &entry->order);
}
