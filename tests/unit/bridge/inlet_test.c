#include "bridge/inlet.h"

#include "../base/run.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static struct inlet inlet;
static struct arena *arena;
static struct channel *channel;
static int theirs;
static char letters[PART_BYTES];

static void set_up(void)
{
    channel = channel_new(&theirs);
    inlet = (struct inlet){.channel = channel};
    arena = arena_new(0);
    memset(letters, 'x', sizeof letters);
}

static void tear_down(void)
{
    inlet_deinit(&inlet);
    channel_unref(&channel);
    arena_unref(&arena);
    close(theirs);
}

static bool add(uint64_t id, size_t size, struct bytes data)
{
    return inlet_add(&inlet, &(struct part){.id = id, .size = size, .data = data}, 1);
}

/* As the worker does it. */
static void post(uint64_t id, const char *content)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ck_assert_int_eq(write(fd, content, strlen(content)), (ssize_t)strlen(content));
    ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK), 0);
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS,
                            .cmsg_len = CMSG_LEN(sizeof(int))}};
    struct iovec vector = {&id, sizeof id};
    const struct msghdr message = {.msg_iov = &vector,
                                   .msg_iovlen = 1,
                                   .msg_control = control.space,
                                   .msg_controllen = CMSG_SPACE(sizeof(int))};
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    ck_assert_int_eq(sendmsg(theirs, &message, 0), sizeof id);
    close(fd);
}

struct fetched {
    struct bytes value;
    struct shared *shared;
    bool lost;
};

static struct fetched fetch(uint64_t id, size_t size)
{
    struct fetched found = {0};
    struct arrival arrival = {.parcel = {.id = id, .size = size},
                              .value = &found.value,
                              .shared = &found.shared,
                              .lost = &found.lost};
    inlet_fetch(&inlet, &arrival, arena);
    return found;
}

START_TEST(parts_are_put_together)
{
    ck_assert(add(7, 8, BYTES("one ")));
    ck_assert(add(8, 3, BYTES("two")));
    ck_assert(add(7, 8, BYTES("more")));
    ck_assert(bytes_equal(fetch(7, 8).value, BYTES("one more")));
    ck_assert(bytes_equal(fetch(8, 3).value, BYTES("two")));
    ck_assert(fetch(7, 8).lost);
}
END_TEST

START_TEST(what_has_not_come_whole_is_lost)
{
    ck_assert(add(7, 8, BYTES("one ")));
    ck_assert(fetch(7, 8).lost);
    ck_assert(fetch(7, 4).lost);
    ck_assert(fetch(9, 4).lost);
    ck_assert(fetch(0, 4).lost);
}
END_TEST

START_TEST(parts_that_make_no_sense_are_refused)
{
    ck_assert(!add(0, 4, BYTES("four")));
    ck_assert(!add(1, 4, (struct bytes){0}));
    ck_assert(!add(1, 0, BYTES("four")));
    ck_assert(!add(1, VALUE_MAX_BYTES + 1, BYTES("four")));
    ck_assert(!add(1, 3, BYTES("four")));
}
END_TEST

START_TEST(a_part_of_another_size_is_refused)
{
    ck_assert(add(1, 8, BYTES("four")));
    ck_assert(!add(1, 9, BYTES("four")));
}
END_TEST

START_TEST(what_is_dropped_is_forgotten_and_leaves_its_room)
{
    const uint64_t dropped[] = {9, 2};
    for (uint64_t id = 1; id <= PARCELS_OPEN; id++)
        ck_assert(add(id, VALUE_MAX_BYTES, BYTES("four")));
    inlet_drop(&inlet, dropped, 2);
    ck_assert(fetch(2, VALUE_MAX_BYTES).lost);
    ck_assert(add(5, 4, BYTES("four")));
    ck_assert(bytes_equal(fetch(5, 4).value, BYTES("four")));
    ck_assert(add(6, VALUE_MAX_BYTES, BYTES("four")));
    ck_assert(!add(7, 4, BYTES("four")));
}
END_TEST

START_TEST(no_more_is_collected_than_messages_that_take_turns_may_hold)
{
    for (uint64_t id = 1; id <= PARCELS_OPEN; id++)
        ck_assert(add(id, VALUE_MAX_BYTES, BYTES("four")));
    ck_assert(!add(PARCELS_OPEN + 1, 4, BYTES("four")));
}
END_TEST

START_TEST(no_more_small_parcels_are_collected_than_there_could_be_large_ones)
{
    for (uint64_t id = 1; id <= PARCELS_MAX; id++)
        ck_assert(add(id, 4, BYTES("four")));
    ck_assert(!add(PARCELS_MAX + 1, 4, BYTES("four")));
}
END_TEST

START_TEST(a_parcel_that_was_fetched_makes_room)
{
    for (uint64_t id = 1; id <= 2 * PARCELS_MAX; id++) {
        ck_assert(add(id, 4, BYTES("four")));
        ck_assert(!fetch(id, 4).lost);
    }
}
END_TEST

START_TEST(the_worker_is_told_what_was_taken_before_its_window_closes)
{
    const struct bytes part = bytes_from(letters, sizeof letters);
    uint64_t told = 0;
    for (uint64_t sent = PART_BYTES; sent <= (size_t)64 * PART_BYTES; sent += PART_BYTES) {
        ck_assert(add(1, (size_t)64 * PART_BYTES, part));
        uint64_t receipt = inlet_receipt(&inlet);
        told = receipt ? receipt : told;
        ck_assert_uint_le(sent - told, PARTS_WINDOW - PART_BYTES);
    }
    ck_assert_uint_eq(told, (size_t)64 * PART_BYTES);
}
END_TEST

START_TEST(memory_that_came_as_a_descriptor_is_read_and_can_be_passed_on)
{
    post(7, "large");
    struct fetched found = fetch(7, 5);
    ck_assert(!found.lost);
    ck_assert(bytes_equal(found.value, BYTES("large")));
    ck_assert(shared_holds(found.shared, found.value) && found.shared->fd >= 0);
}
END_TEST

START_TEST(memory_that_is_not_passed_on_keeps_no_descriptor)
{
    int before = dup(0);
    close(before); /* the lowest number that is free */
    post(7, "large");
    struct bytes value;
    bool lost = false;
    struct arrival arrival = {.parcel = {.id = 7, .size = 5}, .value = &value, .lost = &lost};
    inlet_fetch(&inlet, &arrival, arena);
    ck_assert(!lost && bytes_equal(value, BYTES("large")));
    ck_assert_int_lt(fcntl(before, F_GETFD), 0);
}
END_TEST

/* Several writes of one request share the mark. */
START_TEST(a_value_that_came_does_not_hide_that_another_is_lost)
{
    ck_assert(add(8, 4, BYTES("four")));
    struct bytes values[2];
    bool lost = false;
    struct arrival second = {.parcel = {.id = 8, .size = 4}, .value = &values[1], .lost = &lost};
    struct arrival first = {
        .next = &second, .parcel = {.id = 7, .size = 4}, .value = &values[0], .lost = &lost};
    inlet_fetch(&inlet, &first, arena);
    ck_assert(lost && bytes_equal(values[1], BYTES("four")));
}
END_TEST

START_TEST(of_memory_that_can_be_passed_on_there_is_only_so_much)
{
    for (uint64_t id = 1; id <= CHANNEL_HELD_MAX; id++) {
        post(id, "large");
        ck_assert_ptr_nonnull(fetch(id, 5).shared);
    }
    int before = dup(0);
    close(before); /* the lowest number that is free */
    post(9999, "large");
    struct fetched found = fetch(9999, 5);
    ck_assert(!found.lost && bytes_equal(found.value, BYTES("large")));
    ck_assert_ptr_null(found.shared);
    ck_assert_int_lt(fcntl(before, F_GETFD), 0);
    arena_unref(&arena);
    arena = arena_new(0);
    post(1, "large");
    ck_assert_ptr_nonnull(fetch(1, 5).shared);
}
END_TEST

START_TEST(what_is_shorter_or_longer_than_it_may_be_is_lost)
{
    post(7, "large");
    ck_assert(fetch(7, 6).lost);
    post(8, "large");
    ck_assert(fetch(8, (size_t)1 << 40).lost);
    inlet.channel = NULL;
    ck_assert(fetch(9, 5).lost);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("inlet");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, parts_are_put_together);
    tcase_add_test(tests, what_has_not_come_whole_is_lost);
    tcase_add_test(tests, parts_that_make_no_sense_are_refused);
    tcase_add_test(tests, a_part_of_another_size_is_refused);
    tcase_add_test(tests, what_is_dropped_is_forgotten_and_leaves_its_room);
    tcase_add_test(tests, no_more_is_collected_than_messages_that_take_turns_may_hold);
    tcase_add_test(tests, no_more_small_parcels_are_collected_than_there_could_be_large_ones);
    tcase_add_test(tests, a_parcel_that_was_fetched_makes_room);
    tcase_add_test(tests, the_worker_is_told_what_was_taken_before_its_window_closes);
    tcase_add_test(tests, memory_that_came_as_a_descriptor_is_read_and_can_be_passed_on);
    tcase_add_test(tests, memory_that_is_not_passed_on_keeps_no_descriptor);
    tcase_add_test(tests, a_value_that_came_does_not_hide_that_another_is_lost);
    tcase_add_test(tests, of_memory_that_can_be_passed_on_there_is_only_so_much);
    tcase_add_test(tests, what_is_shorter_or_longer_than_it_may_be_is_lost);
    return run_case(tests, "inlet");
}
