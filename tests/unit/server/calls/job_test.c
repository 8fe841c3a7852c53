/* Jobs over a pool whose worker is written down: who hears what, who is paid, what is kept. */
#include "server/calls/job.h"

#include "../../base/run.h"
#include "../../pool/fake.h"
#include "pool/effects.h"
#include "server/calls/ledger.h"
#include "server/calls/runner.h"

#include <stdio.h>

enum { WINDOW = 400, KEEP = 4000 };

/* A reader of a job, as the exchange of a stream is one. */
struct reader {
    struct job_watcher watcher; /* first */
    struct job *job;
    unsigned news;
    char text[2048];
    bool ended;
};

static struct fake fake;
static struct ledger *ledger;
static struct mailbox home; /* of the readers */
static struct job *job;

static void set_up(void)
{
    fake_init(&fake, NULL);
    fake_attach(&fake);
    mailbox_init(&home, NULL, NULL);
    ledger = ledger_new(&(struct ledger_options){.keep_us = 1000000, .keep_bytes = 1 << 20});
}

/* Opens the calls that the pool has posted. */
static void deliver(void)
{
    struct mail *next = NULL;
    for (struct mail *mail = mailbox_drain(&fake.home); mail; mail = next) {
        next = mail->next;
        mail->open(mail);
    }
}

static void tear_down(void)
{
    job_unref(&job);
    pool_stop(fake.pool, 0);
    deliver();
    ledger_free(&ledger);
    fake_deinit(&fake);
}

static void on_news(struct mail *mail)
{
    struct reader *reader = CONTAINER_OF(mail, struct reader, watcher.mail);
    job_heard(reader->job, &reader->watcher);
    reader->news++;
}

/* Delivers what the job told its readers. */
static void hear(void)
{
    struct mail *next = NULL;
    for (struct mail *mail = mailbox_drain(&home); mail; mail = next) {
        next = mail->next;
        mail->open(mail);
    }
}

static struct job *make(const char *id, const char *key, bool stream)
{
    struct call *call = fake_make(&fake, fake.slow);
    call->request_id = bytes_of(id);
    call->window = stream ? WINDOW : 0;
    struct job *made = job_new(call);
    job_hold(made, KEEP);
    made->is_stream = made->detached = stream;
    made->result_limit = 1000;
    made->is_kept = true;
    made->key = bytes_of(key);
    return made;
}

/* The job that has its key already, or NULL. */
static struct job *submit(struct job *made)
{
    struct job *other = ledger_add(ledger, made);
    if (!other)
        job_start(made);
    return other;
}

static void begin(bool stream)
{
    job = make("r", "", stream);
    ck_assert_ptr_null(submit(job));
}

static void attach(struct reader *reader, uint64_t had)
{
    *reader = (struct reader){.job = job};
    job_watcher_init(&reader->watcher, on_news, &home);
    job_watch(job, &reader->watcher);
    job_follow(job, &reader->watcher, had);
}

static const char *read_text(struct reader *reader)
{
    size_t len = job_read(job, &reader->watcher, EVENT_NDJSON, reader->text,
                          sizeof reader->text - 1, &reader->ended);
    reader->text[len] = '\0';
    return reader->text;
}

static void emit(const char *body)
{
    struct bytes bodies[] = {bytes_of(body)};
    struct worker_emission emission = {
        .call_id = fake.invokes[0].call_id,
        .emission = {.kind = EMISSION_CHUNK, .count = 1, .bodies = bodies},
    };
    pool_worker_emits(fake.pool, fake.invokes[0].worker, &emission, 1);
}

static void finish(void)
{
    fake_answer(&fake, 0, 1000);
    deliver();
}

START_TEST(a_reader_is_told_once_until_it_has_read_all)
{
    struct reader reader;
    begin(true);
    attach(&reader, 0);
    emit("1");
    emit("2");
    hear();
    ck_assert_uint_eq(reader.news, 1);
    ck_assert_ptr_nonnull(strstr(read_text(&reader), "\"data\":2}\n"));
    ck_assert(!reader.ended);
    emit("3");
    hear();
    ck_assert_uint_eq(reader.news, 2);
    ck_assert(job_ignore(job, &reader.watcher));
}
END_TEST

START_TEST(the_end_is_the_last_event)
{
    struct reader reader;
    begin(true);
    attach(&reader, 0);
    emit("1");
    finish();
    hear();
    ck_assert_ptr_nonnull(strstr(read_text(&reader), "\"event\":\"done\""));
    ck_assert(reader.ended);
    ck_assert(job_has_told(job, 3));
    ck_assert(!job_has_told(job, 2));
    ck_assert(!job_is_mute(job));
    ck_assert(job_ignore(job, &reader.watcher));
}
END_TEST

START_TEST(a_stream_whose_end_comes_after_the_deadline_ends_with_that)
{
    struct reader reader;
    begin(true);
    attach(&reader, 0);
    fake_answer(&fake, 0, 1000);
    fake_now_us = job->call->deadline_us;
    deliver();
    hear();
    ck_assert_ptr_nonnull(strstr(read_text(&reader), "\"code\":\"deadline_exceeded\""));
    ck_assert(job_ignore(job, &reader.watcher));
}
END_TEST

START_TEST(a_job_that_runs_has_not_told_all)
{
    begin(true);
    ck_assert(!job_has_told(job, 99));
    ck_assert_ptr_null(job_outcome(job));
}
END_TEST

START_TEST(a_job_that_ends_without_a_word_is_mute)
{
    begin(true);
    finish();
    ck_assert(job_is_mute(job));
    ck_assert_ptr_eq(job_outcome(job), job->call);
}
END_TEST

START_TEST(each_reader_hears_of_what_it_has_not_read)
{
    struct reader first, second;
    begin(true);
    attach(&first, 0);
    emit("1");
    hear();
    read_text(&first);
    attach(&second, 1);
    hear();
    ck_assert_uint_eq(first.news, 1);
    ck_assert_str_eq(read_text(&second), "{\"id\":2,\"event\":\"chunk\",\"data\":1}\n");
    emit("2");
    ck_assert_ptr_nonnull(strstr(read_text(&second), "\"data\":2}"));
    emit("3");
    hear();
    ck_assert_uint_eq(first.news, 2);
    ck_assert_uint_eq(second.news, 2);
    ck_assert_ptr_nonnull(strstr(read_text(&first), "\"data\":3}"));
    ck_assert(!first.ended && !second.ended);
    ck_assert(job_ignore(job, &first.watcher));
    ck_assert(job_ignore(job, &second.watcher));
}
END_TEST

START_TEST(the_last_reader_that_leaves_gives_the_call_up)
{
    struct reader first, second;
    begin(true);
    job->detached = false;
    attach(&first, 0);
    attach(&second, 0);
    job_abandon(job, &second.watcher);
    job_abandon(job, &second.watcher);
    ck_assert_uint_eq(fake.cancel_count, 0);
    job_abandon(job, &first.watcher);
    ck_assert_uint_eq(fake.cancel_count, 1);
    deliver();
    ck_assert(!job_ignore(job, &first.watcher));
    ck_assert(!job_ignore(job, &second.watcher));
    hear();
}
END_TEST

START_TEST(mail_under_way_is_not_forgotten)
{
    struct reader reader;
    begin(true);
    attach(&reader, 0);
    emit("1");
    ck_assert(!job_ignore(job, &reader.watcher));
    hear();
    ck_assert_uint_eq(reader.news, 1);
}
END_TEST

START_TEST(the_worker_is_paid_when_its_reader_has_read)
{
    struct reader reader;
    char body[128];
    snprintf(body, sizeof body, "\"%0100d\"", 0);
    begin(true);
    attach(&reader, 0);
    emit(body);
    ck_assert_uint_eq(fake.credit_count, 0);
    read_text(&reader);
    ck_assert_uint_eq(fake.credit_count, 1);
    ck_assert_uint_eq(fake.credits[0].bytes, strlen(body) + EMISSION_OVERHEAD);
    emit(body);
    hear();
    ck_assert(job_ignore(job, &reader.watcher));
    ck_assert_uint_eq(fake.credit_count, 2);
}
END_TEST

START_TEST(the_worker_is_paid_at_once_when_nobody_reads)
{
    char body[128];
    snprintf(body, sizeof body, "\"%0100d\"", 0);
    begin(true);
    for (unsigned i = 1; i <= 50; i++) {
        emit(body);
        ck_assert_uint_eq(fake.credit_count, i);
    }
    ck_assert_uint_le(job->events.bytes, KEEP);
}
END_TEST

START_TEST(what_is_not_json_fails_the_call_and_is_not_told)
{
    begin(true);
    emit("{");
    deliver();
    const struct call *call = job_outcome(job);
    ck_assert_ptr_nonnull(call);
    ck_assert_int_eq(call->outcome.end, CALL_END_FAILURE);
    ck_assert(bytes_equal(call->outcome.failure.code, BYTES("invalid_result")));
    ck_assert_uint_eq(fake.cancel_count, 1);
    ck_assert_uint_eq(job->events.count, 2);
}
END_TEST

START_TEST(what_is_emitted_after_the_end_is_not_told_and_finds_the_job)
{
    struct bytes bodies[] = {BYTES("1")};
    const struct emission late = {.kind = EMISSION_CHUNK, .count = 1, .bodies = bodies};
    begin(true);
    struct call *call = call_ref(job->call); /* the bridge's */
    job_cancel(job);
    deliver();
    ledger_forget(ledger, job);
    job_unref(&job);
    call->on_emission(call, &late);
    const struct job *ended = call->context;
    ck_assert_uint_eq(ended->events.count, 2);
    call_unref(&call);
}
END_TEST

START_TEST(a_key_finds_the_job_that_has_it)
{
    job = make("first", "key", false);
    ck_assert_ptr_null(submit(job));
    struct job *second = make("second", "key", false);
    struct job *found = submit(second);
    ck_assert_ptr_eq(found, job);
    ck_assert_uint_eq(fake.invoke_count, 1);
    job_unref(&second);
    job_unref(&found);
    finish();
    struct job *third = make("third", "key", false);
    found = submit(third);
    ck_assert_ptr_eq(found, job);
    job_unref(&third);
    job_unref(&found);
}
END_TEST

START_TEST(a_key_whose_call_did_not_run_is_free_again)
{
    job = make("first", "key", false);
    ck_assert_ptr_null(submit(job));
    struct job *others[2] = {make("b", "", false), make("c", "key2", false)};
    ck_assert_ptr_null(submit(others[0]));
    ck_assert_ptr_null(submit(others[1]));
    job_cancel(others[1]); /* it was queued */
    deliver();
    struct job *again = make("d", "key2", false);
    ck_assert_ptr_null(submit(again));
    for (unsigned i = 0; i < 2; i++)
        job_unref(&others[i]);
    job_unref(&again);
}
END_TEST

START_TEST(a_request_id_that_another_job_has_gets_a_number)
{
    static char longest[129]; /* outlives the jobs */
    memset(longest, 'x', 128);
    job = make("same", "", false);
    struct job *others[] = {make("same", "", false), make(longest, "", false),
                            make(longest, "", false)};
    ck_assert_ptr_null(submit(job));
    for (unsigned i = 0; i < 3; i++)
        ck_assert_ptr_null(submit(others[i]));
    ck_assert(bytes_equal(job->call->request_id, BYTES("same")));
    ck_assert(bytes_equal(others[0]->call->request_id, BYTES("same~1")));
    ck_assert_uint_le(others[2]->call->request_id.len, 128);
    ck_assert(!bytes_equal(others[1]->call->request_id, others[2]->call->request_id));
    struct job *found = ledger_find(ledger, BYTES("same"));
    ck_assert_ptr_eq(found, job);
    job_unref(&found);
    found = ledger_find(ledger, BYTES("same~1"));
    ck_assert_ptr_eq(found, others[0]);
    job_unref(&found);
    for (unsigned i = 0; i < 3; i++)
        job_unref(&others[i]);
}
END_TEST

START_TEST(a_job_is_kept_for_its_time)
{
    struct job *found;
    begin(false);
    finish();
    ledger_sweep(ledger, 0);
    ck_assert_uint_eq(ledger_look(ledger, JOBS_DONE, 0, &found, 1), 1);
    ck_assert_ptr_eq(found, job);
    job_unref(&found);
    struct job *later;
    ck_assert_uint_eq(ledger_look(ledger, JOBS_DONE, job->numbers[JOBS_DONE], &later, 1), 0);
    ledger_sweep(ledger, UINT64_MAX);
    ck_assert_ptr_null(ledger_find(ledger, BYTES("r")));
}
END_TEST

/* Whether who lists calls sees the job at the places where he looks, in their order. */
static void expect_seen(bool runs, bool has_ended, bool is_done)
{
    struct call_view view;
    struct job *found = NULL;
    ck_assert_int_eq(pool_look_at_call(fake.pool, BYTES("r"), &view), runs);
    bool ended = ledger_look(ledger, JOBS_UNDER_WAY, 0, &found, 1) && runner_has_ended(found->call);
    ck_assert_int_eq(ended, has_ended);
    job_unref(&found);
    ck_assert_int_eq(ledger_look(ledger, JOBS_DONE, 0, &found, 1), is_done);
    job_unref(&found);
}

START_TEST(a_job_is_somewhere_at_every_moment)
{
    begin(false);
    expect_seen(true, false, false);
    fake_answer(&fake, 0, 10);
    expect_seen(false, true, false);
    deliver();
    expect_seen(false, false, true);
    ledger_sweep(ledger, UINT64_MAX);
    expect_seen(false, false, false);
}
END_TEST

START_TEST(a_job_is_not_kept_beyond_the_size)
{
    ledger_free(&ledger);
    ledger = ledger_new(&(struct ledger_options){.keep_us = UINT64_C(1) << 60, .keep_bytes = 1000});
    begin(false);
    finish();
    ck_assert_ptr_null(ledger_find(ledger, BYTES("r")));
}
END_TEST

START_TEST(a_job_that_is_too_large_displaces_no_other)
{
    ledger_free(&ledger);
    ledger =
        ledger_new(&(struct ledger_options){.keep_us = UINT64_C(1) << 60, .keep_bytes = 20000});
    begin(false);
    finish();
    struct job *large = make("large", "", false);
    ck_assert(buffer_reserve(&large->call->payload, 30000));
    ck_assert_ptr_null(submit(large));
    fake_answer(&fake, 1, 1000);
    deliver();
    struct job *found = ledger_find(ledger, BYTES("large"));
    ck_assert_ptr_ne(found, large);
    ck_assert_uint_lt(job_size(found), 20000);
    ck_assert_int_eq(job_outcome(found)->outcome.end, CALL_END_RESULT);
    ledger_forget(ledger, found);
    job_unref(&found);
    found = ledger_find(ledger, BYTES("r"));
    ck_assert_ptr_eq(found, job);
    job_unref(&found);
    job_unref(&large);
}
END_TEST

START_TEST(of_a_result_that_is_too_large_it_is_kept_that_it_was)
{
    static const char large[30000];
    ledger_free(&ledger);
    ledger =
        ledger_new(&(struct ledger_options){.keep_us = UINT64_C(1) << 60, .keep_bytes = 20000});
    job = make("r", "key", false);
    ck_assert_ptr_null(submit(job));
    job->call->payload.capacity = 0;
    struct call *call = job->call;
    fake_answer(&fake, 0, 1000);
    call->outcome.body = bytes_from(large, sizeof(large));
    deliver();
    struct job *found = ledger_find(ledger, BYTES("r"));
    const struct call *kept = job_outcome(found);
    ck_assert_int_eq(call->outcome.end, CALL_END_RESULT);
    ck_assert_int_eq(kept->outcome.end, CALL_END_FAILURE);
    ck_assert_int_eq(kept->outcome.executed, EXECUTED_YES);
    ck_assert(bytes_equal(kept->outcome.failure.code, BYTES("result_too_large")));
    struct job *again = make("again", "key", false), *joined = submit(again);
    ck_assert_ptr_eq(joined, found); /* it must not run twice */
    job_unref(&again);
    job_unref(&joined);
    job_unref(&found);
}
END_TEST

START_TEST(of_a_stream_that_is_too_large_its_end_is_kept_under_its_number)
{
    struct reader reader;
    char body[1100];
    ledger_free(&ledger);
    ledger =
        ledger_new(&(struct ledger_options){.keep_us = UINT64_C(1) << 60, .keep_bytes = 10000});
    begin(true);
    snprintf(body, sizeof body, "\"%01000d\"", 0);
    emit(body);
    emit(body);
    finish();
    job_unref(&job);
    job = ledger_find(ledger, BYTES("r"));
    attach(&reader, 1);
    const char *text = read_text(&reader);
    ck_assert_ptr_nonnull(strstr(text, "\"data\":{\"from\":2,\"to\":3}"));
    ck_assert_ptr_nonnull(strstr(text, "{\"id\":4,\"event\":\"error\""));
    ck_assert_ptr_nonnull(strstr(text, "result_too_large"));
    ck_assert(reader.ended);
    ck_assert(!job_is_mute(job));
    ck_assert(!job_ignore(job, &reader.watcher));
    hear();
}
END_TEST

START_TEST(a_job_that_was_announced_is_kept_though_it_did_not_run)
{
    job = make("first", "", false);
    ck_assert_ptr_null(submit(job));
    struct job *filler = make("filler", "", false), *told = make("told", "key", false);
    ck_assert_ptr_null(submit(filler));
    ck_assert_ptr_null(submit(told));
    ledger_announce(ledger, told);
    job_cancel(told); /* it was queued */
    deliver();
    struct job *found = ledger_find(ledger, BYTES("told"));
    ck_assert_ptr_eq(found, told);
    struct job *again = make("again", "key", false);
    ck_assert_ptr_null(submit(again)); /* and its key is free */
    job_unref(&found);
    job_unref(&filler);
    job_unref(&told);
    job_unref(&again);
}
END_TEST

START_TEST(a_job_that_was_forgotten_while_it_ran_is_not_kept)
{
    begin(false);
    ledger_forget(ledger, job);
    ledger_forget(ledger, job);
    finish();
    ck_assert_ptr_null(ledger_find(ledger, BYTES("r")));
    ck_assert_ptr_nonnull(job_outcome(job));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("job");
    TCase *streams = tcase_create("streams"), *kept = tcase_create("kept");
    tcase_add_checked_fixture(streams, set_up, tear_down);
    tcase_add_checked_fixture(kept, set_up, tear_down);
    tcase_add_test(streams, a_reader_is_told_once_until_it_has_read_all);
    tcase_add_test(streams, the_end_is_the_last_event);
    tcase_add_test(streams, a_stream_whose_end_comes_after_the_deadline_ends_with_that);
    tcase_add_test(streams, a_job_that_runs_has_not_told_all);
    tcase_add_test(streams, a_job_that_ends_without_a_word_is_mute);
    tcase_add_test(streams, each_reader_hears_of_what_it_has_not_read);
    tcase_add_test(streams, the_last_reader_that_leaves_gives_the_call_up);
    tcase_add_test(streams, mail_under_way_is_not_forgotten);
    tcase_add_test(streams, the_worker_is_paid_when_its_reader_has_read);
    tcase_add_test(streams, the_worker_is_paid_at_once_when_nobody_reads);
    tcase_add_test(streams, what_is_not_json_fails_the_call_and_is_not_told);
    tcase_add_test(streams, what_is_emitted_after_the_end_is_not_told_and_finds_the_job);
    tcase_add_test(kept, a_key_finds_the_job_that_has_it);
    tcase_add_test(kept, a_key_whose_call_did_not_run_is_free_again);
    tcase_add_test(kept, a_request_id_that_another_job_has_gets_a_number);
    tcase_add_test(kept, a_job_is_kept_for_its_time);
    tcase_add_test(kept, a_job_is_somewhere_at_every_moment);
    tcase_add_test(kept, a_job_is_not_kept_beyond_the_size);
    tcase_add_test(kept, a_job_that_is_too_large_displaces_no_other);
    tcase_add_test(kept, of_a_result_that_is_too_large_it_is_kept_that_it_was);
    tcase_add_test(kept, of_a_stream_that_is_too_large_its_end_is_kept_under_its_number);
    tcase_add_test(kept, a_job_that_was_announced_is_kept_though_it_did_not_run);
    tcase_add_test(kept, a_job_that_was_forgotten_while_it_ran_is_not_kept);
    suite_add_tcase(suite, streams);
    suite_add_tcase(suite, kept);
    return suite;
}

int main(void)
{
    return run_suite(make_suite());
}
