/* A worker's seat by itself. */
#include "pool/worker.h"

#include "../base/run.h"

#include <check.h>

static struct worker worker;
static struct arena *arena;
static struct call *call;

static void set_up(void)
{
    worker_init(&worker, 7);
    arena = arena_new(0);
    call = call_new(arena);
}

static void tear_down(void)
{
    worker_deinit(&worker);
    call_unref(&call);
    arena_unref(&arena);
}

static void begin(uint64_t number, unsigned slots)
{
    const struct worker_hello hello = {.pid = 1, .slots = slots};
    worker_begin(&worker, "default", number, 1000);
    worker_ready(&worker, &hello, 2000);
}

static void fill(void)
{
    while (!list_empty(&worker.unused))
        ck_assert_ptr_nonnull(worker_take(&worker, call, 10, 2000));
}

START_TEST(a_seat_has_room_for_calls_only_while_somebody_is_ready_in_it)
{
    ck_assert_ptr_null(worker.inflight);
    begin(1, 1);
    ck_assert_ptr_nonnull(worker.inflight);
    worker_end(&worker);
    ck_assert_ptr_null(worker.inflight);
    ck_assert_int_eq(worker.state, WORKER_VACANT);
}
END_TEST

START_TEST(a_worker_that_is_not_ready_has_no_calls)
{
    worker_begin(&worker, "default", 1, 1000);
    ck_assert_ptr_null(worker_find(&worker, 1 << INFLIGHT_BITS));
}
END_TEST

START_TEST(a_call_knows_its_worker_and_is_found_by_its_id)
{
    begin(1, 1);
    struct inflight *entry = worker_take(&worker, call, 10, 1000);
    ck_assert_ptr_eq(entry->worker, &worker);
    ck_assert_ptr_eq(worker_find(&worker, entry->id), entry);
    uint64_t id = entry->id;
    worker_release(&worker, entry);
    ck_assert_ptr_null(worker_find(&worker, id));
}
END_TEST

START_TEST(the_next_process_starts_with_all_its_room)
{
    begin(1, 1);
    worker_release(&worker, worker_take(&worker, call, 10, 1000));
    worker_end(&worker);
    begin(2, 1);
    fill();
    ck_assert_uint_eq(worker.inflight_count, INFLIGHT_USUAL);
}
END_TEST

START_TEST(a_worker_has_room_for_as_many_calls_as_it_has_slots)
{
    begin(1, RUNNING_MAX);
    fill();
    ck_assert_uint_eq(worker.inflight_count, RUNNING_MAX);
    LIST_FOREACH (&worker.sent, node, next) {
        struct inflight *entry = CONTAINER_OF(node, struct inflight, order);
        ck_assert_ptr_eq(worker_find(&worker, entry->id), entry);
    }
}
END_TEST

START_TEST(an_id_beyond_the_room_is_nobodys)
{
    begin(1, 1);
    struct inflight *entry = worker_take(&worker, call, 10, 1000);
    ck_assert_ptr_null(worker_find(&worker, entry->id | INFLIGHT_USUAL));
    ck_assert_ptr_null(worker_find(&worker, UINT64_MAX));
}
END_TEST

/* Gives the worker so many calls. */
static void take(struct inflight **out_entries, uint64_t *out_ids, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        out_entries[i] = worker_take(&worker, call, 10, 2000);
        out_ids[i] = out_entries[i]->id;
    }
}

static void join(const uint64_t *ids, size_t count)
{
    worker_join(&worker, &(struct worker_batch){.call_ids = ids, .count = count});
}

START_TEST(calls_that_are_run_together_take_one_slot)
{
    struct inflight *entries[4];
    uint64_t ids[4];
    begin(1, 2);
    take(entries, ids, 4);
    ck_assert(!worker_has_free_slot(&worker));
    join(ids, 3);
    ck_assert(!worker_has_free_slot(&worker));
    worker_release(&worker, entries[3]);
    ck_assert(worker_has_free_slot(&worker));
}
END_TEST

START_TEST(the_last_call_of_a_batch_gives_its_slot_back)
{
    struct inflight *entries[3];
    uint64_t ids[3];
    begin(1, 1);
    take(entries, ids, 3);
    join(ids, 3);
    for (unsigned i = 0; i < 3; i++) { /* in whatever order, the first one leads nobody */
        ck_assert(!worker_has_free_slot(&worker));
        worker_release(&worker, entries[i]);
    }
    ck_assert(worker_has_free_slot(&worker));
    ck_assert_uint_eq(worker.sharing, 0);
}
END_TEST

START_TEST(what_a_batch_says_twice_or_of_other_calls_does_not_count)
{
    struct inflight *entries[3];
    uint64_t ids[3];
    begin(1, 2);
    take(entries, ids, 3);
    join((const uint64_t[]){0, ids[0], ids[0], ids[2] + 1, UINT64_MAX}, 5);
    ck_assert_uint_eq(worker.sharing, 0);
    join(ids, 2);
    join(ids, 2);
    join((const uint64_t[]){ids[2], ids[1]}, 2);
    ck_assert_uint_eq(worker.sharing, 1);
}
END_TEST

START_TEST(a_worker_with_a_slot_but_without_room_takes_nothing)
{
    struct inflight *entries[INFLIGHT_USUAL];
    uint64_t ids[INFLIGHT_USUAL];
    begin(1, 2);
    take(entries, ids, INFLIGHT_USUAL);
    join(ids, INFLIGHT_USUAL);
    ck_assert(!worker_has_free_slot(&worker));
    worker_release(&worker, entries[7]);
    ck_assert(worker_has_free_slot(&worker));
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("worker");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_seat_has_room_for_calls_only_while_somebody_is_ready_in_it);
    tcase_add_test(tests, a_worker_that_is_not_ready_has_no_calls);
    tcase_add_test(tests, a_call_knows_its_worker_and_is_found_by_its_id);
    tcase_add_test(tests, the_next_process_starts_with_all_its_room);
    tcase_add_test(tests, a_worker_has_room_for_as_many_calls_as_it_has_slots);
    tcase_add_test(tests, an_id_beyond_the_room_is_nobodys);
    tcase_add_test(tests, calls_that_are_run_together_take_one_slot);
    tcase_add_test(tests, the_last_call_of_a_batch_gives_its_slot_back);
    tcase_add_test(tests, what_a_batch_says_twice_or_of_other_calls_does_not_count);
    tcase_add_test(tests, a_worker_with_a_slot_but_without_room_takes_nothing);
    return run_case(tests, "worker");
}
