#include "bridge/outlet.h"

#include "../base/run.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The frames that are filled are told apart by their length: one part is a little more than its
 * bytes. */

enum { LARGE = 300000 };

static struct outlet outlet;
static struct arena *arena;
static char letters[LARGE];

static void set_up(void)
{
    outlet = (struct outlet){0};
    outlet_init(&outlet);
    arena = arena_new(0);
    memset(letters, 'x', sizeof letters);
}

static void tear_down(void)
{
    outlet_deinit(&outlet);
    arena_unref(&arena);
}

/* A cargo of one value, whose message is `mark`, in the name of that call. */
static struct parcel add_for(uint64_t call_id, size_t size, const char *mark)
{
    struct parcel parcel;
    struct cargo *cargo = NULL;
    outlet_pack(&outlet, bytes_from(letters, size), NULL, NULL, &parcel, &cargo);
    ck_assert_ptr_nonnull(cargo);
    buffer_add_string(&cargo->message, mark);
    outlet_add(&outlet, cargo, call_id);
    return parcel;
}

static struct parcel add(size_t size, const char *mark)
{
    return add_for(1, size, mark);
}

/* Fills a frame: the bytes that were added, and the message that is complete, or "". */
static size_t fill(char *out_mark)
{
    struct buffer frame = {0};
    struct cargo *cargo = outlet_fill(&outlet, &frame);
    size_t len = frame.len;
    out_mark[0] = '\0';
    if (cargo && cargo->message.len)
        out_mark[0] = cargo->message.data[0];
    out_mark[1] = '\0';
    cargo_free(&cargo);
    buffer_deinit(&frame);
    return len;
}

START_TEST(what_is_small_stays_in_its_message)
{
    struct parcel parcel;
    struct cargo *cargo = NULL;
    outlet_pack(&outlet, bytes_from(letters, SHARED_MIN), NULL, NULL, &parcel, &cargo);
    ck_assert(parcel.id == 0 && !cargo);
}
END_TEST

START_TEST(a_value_goes_in_parts_and_its_message_after_the_last)
{
    char mark[2];
    struct parcel parcel = add(LARGE, "m");
    ck_assert(parcel.id && parcel.size == LARGE && parcel.offset == 0);
    ck_assert_uint_gt(fill(mark), PART_BYTES);
    ck_assert_str_eq(mark, "");
    ck_assert_uint_gt(fill(mark), PART_BYTES);
    ck_assert_str_eq(mark, "");
    ck_assert_uint_lt(fill(mark), PART_BYTES);
    ck_assert_str_eq(mark, "m");
    ck_assert(!outlet_is_ready(&outlet));
    ck_assert_uint_eq(fill(mark), 0);
}
END_TEST

START_TEST(parcels_take_turns)
{
    char mark[2];
    struct buffer order = {0};
    add(LARGE, "a");
    add(70000, "b");
    add(LARGE, "c");
    while (outlet_is_ready(&outlet)) {
        fill(mark);
        buffer_add_string(&order, mark);
    }
    ck_assert(bytes_equal(buffer_bytes(&order), BYTES("bac")));
    buffer_deinit(&order);
}
END_TEST

START_TEST(all_values_of_a_message_go_before_it)
{
    char mark[2];
    struct parcel parcels[2];
    struct cargo *cargo = NULL;
    outlet_pack(&outlet, bytes_from(letters, 70000), NULL, NULL, &parcels[0], &cargo);
    outlet_pack(&outlet, bytes_from(letters, 80000), NULL, NULL, &parcels[1], &cargo);
    ck_assert_uint_ne(parcels[0].id, parcels[1].id);
    buffer_add_string(&cargo->message, "m");
    outlet_add(&outlet, cargo, 1);
    fill(mark);
    ck_assert_str_eq(mark, "");
    fill(mark);
    ck_assert_str_eq(mark, "m");
}
END_TEST

START_TEST(no_more_parcels_are_open_than_the_worker_collects)
{
    char mark[2];
    struct buffer order = {0};
    for (unsigned i = 0; i < PARCELS_OPEN; i++)
        add(LARGE, "l");
    add(70000, "s");
    while (order.len < PARCELS_OPEN + 1) {
        fill(mark);
        buffer_add_string(&order, mark);
        outlet_taken(&outlet, outlet.sent);
    }
    ck_assert(bytes_equal(buffer_bytes(&order), BYTES("lllls")));
    buffer_deinit(&order);
}
END_TEST

START_TEST(the_window_closes_until_the_worker_has_taken_some)
{
    char mark[2];
    for (unsigned i = 0; i < 8; i++)
        add(LARGE, "m");
    while (outlet_is_ready(&outlet))
        fill(mark);
    ck_assert_uint_gt(outlet.sent, PARTS_WINDOW - PART_BYTES);
    ck_assert_uint_le(outlet.sent, PARTS_WINDOW);
    outlet_taken(&outlet, outlet.sent + 1);
    ck_assert(!outlet_is_ready(&outlet));
    outlet_taken(&outlet, PARTS_WINDOW / 2);
    ck_assert(outlet_is_ready(&outlet));
    outlet_taken(&outlet, 1);
    ck_assert_uint_eq(outlet.taken, PARTS_WINDOW / 2);
}
END_TEST

START_TEST(memory_that_is_referred_to_is_not_copied_and_lasts)
{
    char mark[2];
    struct parcel parcel;
    struct cargo *cargo = NULL;
    struct arena *memory = arena_new(0);
    struct bytes value = arena_copy(memory, bytes_from(letters, 70000));
    outlet_pack(&outlet, value, NULL, memory, &parcel, &cargo);
    arena_unref(&memory);
    buffer_add_string(&cargo->message, "m");
    outlet_add(&outlet, cargo, 1);
    ck_assert_uint_gt(fill(mark), 70000);
}
END_TEST

/* Withdraws a cargo of that call; whether the frame says that a parcel was dropped, and the message
 * that is to follow, or "". */
static bool withdraw(uint64_t call_id, char *out_mark)
{
    struct buffer frame = {0};
    struct cargo *cargo = outlet_withdraw(&outlet, call_id, &frame);
    bool dropped = frame.len > 0;
    snprintf(out_mark, 2, "%c", cargo ? cargo->message.data[0] : '\0');
    cargo_free(&cargo);
    buffer_deinit(&frame);
    return dropped;
}

START_TEST(what_has_not_been_sent_of_a_cancelled_call_is_not)
{
    char mark[2];
    add_for(1, LARGE, "a");
    add_for(2, LARGE, "b");
    add_for(1, LARGE, "c");
    fill(mark);
    size_t sent = outlet.sent;
    ck_assert(!withdraw(1, mark)); /* nothing of it has been sent */
    ck_assert_str_eq(mark, "c");
    ck_assert(withdraw(1, mark));
    ck_assert_str_eq(mark, "a");
    ck_assert(!withdraw(1, mark));
    ck_assert_str_eq(mark, "");
    ck_assert_uint_eq(outlet.sent, sent);
    while (outlet_is_ready(&outlet))
        fill(mark);
    ck_assert_str_eq(mark, "b");
    ck_assert_uint_eq(outlet.sent, sent + LARGE);
}
END_TEST

START_TEST(calls_that_were_given_up_are_remembered_for_a_while)
{
    char mark[2];
    ck_assert(!outlet_has_given_up(&outlet, 0));
    ck_assert(!outlet_has_given_up(&outlet, 1));
    add_for(1, LARGE, "a");
    withdraw(1, mark);
    ck_assert(!outlet_has_given_up(&outlet, 1)); /* it may have more */
    withdraw(1, mark);
    ck_assert(outlet_has_given_up(&outlet, 1));
    for (uint64_t id = 2; id < 2 + OUTLET_GIVEN_UP; id++)
        withdraw(id, mark);
    ck_assert(!outlet_has_given_up(&outlet, 1));
    ck_assert(outlet_has_given_up(&outlet, 2));
}
END_TEST

START_TEST(one_that_waits_takes_the_turn_of_a_cancelled_one)
{
    char mark[2];
    for (unsigned i = 0; i < PARCELS_OPEN; i++)
        add_for(1 + i, LARGE, "l");
    add_for(9, 70000, "s");
    add_for(8, 70000, "t");
    withdraw(8, mark);
    ck_assert_str_eq(mark, "t");
    withdraw(1, mark);
    for (unsigned i = 0; i < PARCELS_OPEN; i++)
        fill(mark);
    ck_assert_str_eq(mark, "s");
    ck_assert_uint_eq(outlet.open_count, PARCELS_OPEN - 1);
}
END_TEST

START_TEST(a_channel_takes_a_copy_or_the_memory_itself)
{
    int theirs;
    struct channel *channel = channel_new(&theirs);
    struct parcel parcels[2];
    struct cargo *cargo = NULL;
    outlet_connect(&outlet, channel);
    struct shared *shared = shared_new(arena);
    ck_assert(shared_append(shared, bytes_from(letters, LARGE)) && shared_seal(shared));
    struct bytes inner = bytes_from(shared->data + 1000, 70000);
    outlet_pack(&outlet, inner, shared, NULL, &parcels[0], &cargo);
    outlet_pack(&outlet, bytes_from(letters, 70000), NULL, NULL, &parcels[1], &cargo);
    ck_assert_ptr_null(cargo);
    ck_assert(parcels[0].offset == 1000 && parcels[0].size == 70000);
    ck_assert(parcels[1].offset == 0 && parcels[1].size == 70000);
    ck_assert_uint_ne(parcels[0].id, parcels[1].id);
    close(theirs);
    outlet_pack(&outlet, inner, shared, NULL, &parcels[0], &cargo);
    ck_assert(cargo && parcels[0].offset == 0);
    cargo_free(&cargo);
    channel_unref(&channel);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("outlet");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, what_is_small_stays_in_its_message);
    tcase_add_test(tests, a_value_goes_in_parts_and_its_message_after_the_last);
    tcase_add_test(tests, parcels_take_turns);
    tcase_add_test(tests, all_values_of_a_message_go_before_it);
    tcase_add_test(tests, no_more_parcels_are_open_than_the_worker_collects);
    tcase_add_test(tests, the_window_closes_until_the_worker_has_taken_some);
    tcase_add_test(tests, memory_that_is_referred_to_is_not_copied_and_lasts);
    tcase_add_test(tests, what_has_not_been_sent_of_a_cancelled_call_is_not);
    tcase_add_test(tests, calls_that_were_given_up_are_remembered_for_a_while);
    tcase_add_test(tests, one_that_waits_takes_the_turn_of_a_cancelled_one);
    tcase_add_test(tests, a_channel_takes_a_copy_or_the_memory_itself);
    return run_case(tests, "outlet");
}
