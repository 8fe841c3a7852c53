/* Workers of the shadow that die, and what their pages say. */
#include "model.h"

#include "pool/affinity.h"

#include <stdlib.h>

/* The answers of some that had finished are in the journal; and those of others, long gone. */
static void write_journal(struct model *model, struct process *process,
                          struct started_calls *out_page)
{
    for (unsigned i = 0; i < process->job_count; i++) {
        struct job *job = process->jobs[i];
        struct worker_answer answer = {
            .call_id = job->call_id, .started = true, .failed = roll(model, 4) == 0};
        struct bytes text = model_print(out_page->memory, job->serial);
        job->kept = job->finished && roll(model, 2);
        if (answer.failed)
            answer.failure.message = text;
        else
            answer.body = text;
        if (job->kept)
            out_page->finished[out_page->finished_count++] = answer;
    }
    out_page->finished[out_page->finished_count++] =
        (struct worker_answer){.call_id = UINT64_MAX, .started = true};
}

static void write_page(struct model *model, struct process *process, struct started_calls *out_page)
{
    for (unsigned i = 0; i < process->job_count; i++) {
        const struct job *job = process->jobs[i];
        if (job->started)
            out_page->started[out_page->started_count++] = job->call_id;
        if (job->started && !job->finished)
            out_page->running[out_page->running_count++] = job->call_id;
    }
    write_journal(model, process, out_page);
}

/* In this very step: nobody has read the mail yet. */
static bool has_ended(const struct promise *promise)
{
    return promise->call->state == CALL_DONE;
}

static bool was_running(const struct job *job, bool known)
{
    return !known || (job->started && !job->finished);
}

/* Each text that ran is blamed once, and for good if nothing ran beside it. */
static void blame(struct model *model, const struct process *process, bool known)
{
    unsigned running = 0;
    for (unsigned i = 0; i < process->job_count; i++)
        running += was_running(process->jobs[i], known);
    for (unsigned i = 0; i < process->job_count; i++) {
        const struct promise *promise = process->jobs[i]->promise;
        if (!promise || has_ended(promise) || !was_running(process->jobs[i], known))
            continue;
        struct guilt *guilt = &model->guilt[promise->text];
        if (guilt->worker == process->ref.number)
            continue;
        guilt->worker = process->ref.number;
        guilt->kills++;
        guilt->alone += running == 1;
    }
}

void model_acquit(struct model *model, unsigned text)
{
    model->guilt[text].kills = model->guilt[text].alone;
    if (model->guilt[text].alone == 0)
        model->guilt[text].worker = 0;
}

/* What the pool has to make of a call that is not answered from the journal. */
static void foresee_loss(struct model *model, const struct process *process, const struct job *job,
                         bool known)
{
    struct promise *promise = job->promise;
    bool started = job->started || !known;
    bool bound =
        affinity_binds(model->pool, promise->call, &model->pool->workers[process->ref.seat]);
    if (!started && !bound)
        model->requeued++;
    if (started)
        promise->runs++;
}

/* Of a stream nothing is made good: its last values may be missing. */
static bool is_recovered(const struct job *job)
{
    return job->kept && !job->promise->call->window;
}

static void foresee(struct model *model, struct process *process, bool known)
{
    for (unsigned i = 0; i < process->job_count; i++) {
        const struct job *job = process->jobs[i];
        struct promise *promise = job->promise;
        if (!promise)
            continue;
        promise->job = NULL;
        if (has_ended(promise))
            continue;
        if (!is_recovered(job)) {
            foresee_loss(model, process, job, known);
            continue;
        }
        model->recovered++;
        model_acquit(model, promise->text);
    }
}

static void bury(struct model *model, struct process *process, const struct worker_exit *exit,
                 const struct started_calls *page)
{
    struct worker_ref ref = process->ref;
    while (process->job_count)
        free(process->jobs[--process->job_count]);
    model->crashes += !exit->expected && !process->told;
    process->alive = false;
    pool_worker_gone(model->pool, ref, exit, page);
}

void model_kill(struct model *model, struct process *process, bool expected)
{
    const struct worker_exit exit = {.expected = expected,
                                     .outside = !expected && roll(model, 4) == 0,
                                     .signal = 11,
                                     .cause = "segfault"};
    struct worker_answer finished[INFLIGHT_MAX + 1];
    struct started_calls page = {
        .known = roll(model, 8) != 0, .finished = finished, .memory = arena_new(0)};
    for (unsigned i = 0; i < process->job_count; i++) {
        struct job *job = process->jobs[i];
        job->finished = job->started && (job->finished || roll(model, 4) == 0);
    }
    if (page.known)
        write_page(model, process, &page);
    foresee(model, process, page.known);
    if (!process->told && !worker_exit_is_nobodys(&exit))
        blame(model, process, page.known);
    bury(model, process, &exit, &page);
    arena_unref(&page.memory);
}
