/* A worker's seat by itself. */
#include "pool/worker.h"

#include "../base/run.h"

#include <check.h>

static struct worker worker;

static void set_up(void)
{
    worker_init(&worker, 7);
}

static void tear_down(void)
{
    worker_deinit(&worker);
}

START_TEST(a_seat_has_room_for_calls_only_while_somebody_sits_in_it)
{
    ck_assert_ptr_null(worker.inflight);
    worker_begin(&worker, "default", 1, 1000);
    ck_assert_ptr_nonnull(worker.inflight);
    worker_end(&worker);
    ck_assert_ptr_null(worker.inflight);
    ck_assert_int_eq(worker.state, WORKER_VACANT);
}
END_TEST

START_TEST(a_call_knows_its_worker_and_is_found_by_its_id)
{
    struct arena *arena = arena_new(0);
    struct call *call = call_new(arena);
    worker_begin(&worker, "default", 1, 1000);
    struct inflight *entry = worker_take(&worker, call, 10, 1000);
    ck_assert_ptr_eq(entry->worker, &worker);
    ck_assert_ptr_eq(worker_find(&worker, entry->id), entry);
    uint64_t id = entry->id;
    worker_release(&worker, entry);
    ck_assert_ptr_null(worker_find(&worker, id));
    call_unref(&call);
    arena_unref(&arena);
}
END_TEST

START_TEST(the_next_process_starts_with_all_its_room)
{
    struct arena *arena = arena_new(0);
    struct call *call = call_new(arena);
    worker_begin(&worker, "default", 1, 1000);
    worker_release(&worker, worker_take(&worker, call, 10, 1000));
    worker_end(&worker);
    worker_begin(&worker, "default", 2, 2000);
    for (unsigned i = 0; i < INFLIGHT_MAX; i++)
        ck_assert_ptr_nonnull(worker_take(&worker, call, 10, 2000));
    ck_assert(list_empty(&worker.unused));
    call_unref(&call);
    arena_unref(&arena);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("worker");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_seat_has_room_for_calls_only_while_somebody_sits_in_it);
    tcase_add_test(tests, a_call_knows_its_worker_and_is_found_by_its_id);
    tcase_add_test(tests, the_next_process_starts_with_all_its_room);
    return run_case(tests, "worker");
}
