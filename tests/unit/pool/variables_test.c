/* The variables of a session: versions, batches, limits. */
#include "pool/variables.h"

#include "../base/run.h"
#include "pool/session.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct session_store *store;
static struct session *session;
static struct variables_refusal refusal;
static struct variable now[8];
static struct variables_written written;

static void set_up(void)
{
    struct session_options options = session_defaults();
    options.memory_limit = 2000;
    options.variables = (struct variables_limits){.count = 3, .value_size = 400, .size = 900};
    store = session_store_new(&options);
    session_open(store, &(struct session_wish){.id = BYTES("s")}, &session);
    written = (struct variables_written){.variables = now};
}

static void tear_down(void)
{
    session_unref(&session);
    session_store_free(&store);
}

static struct variable_write set(const char *name, const char *value)
{
    return (struct variable_write){.name = bytes_of(name), .value = bytes_of(value)};
}

static struct variable_write removal(const char *name)
{
    return (struct variable_write){.name = bytes_of(name), .remove = true};
}

static bool write_one(struct variable_write write)
{
    return variables_write(session, &write, 1, NULL, &written, &refusal);
}

static bool write_two(struct variable_write first, struct variable_write second)
{
    const struct variable_write writes[] = {first, second};
    return variables_write(session, writes, 2, NULL, &written, &refusal);
}

/* "a=1 b=2", by name. Static. */
static const char *all(void)
{
    static char text[256];
    size_t count, len = 0;
    struct arena *arena = arena_new(0);
    const struct variable *list = variables_list(session, arena, &count);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%.*s=%.*s", i ? " " : "",
                                (int)list[i].name.len, list[i].name.data, (int)list[i].value.len,
                                list[i].value.data);
    arena_unref(&arena);
    return text;
}

static size_t memory(void)
{
    struct session_counts counts;
    session_count(store, &counts);
    return counts.memory;
}

START_TEST(each_write_gives_the_next_version)
{
    ck_assert(write_one(set("x", "1")));
    ck_assert_uint_eq(now[0].version, 1);
    ck_assert(write_one(set("x", "1")));
    ck_assert_uint_eq(now[0].version, 2);
}
END_TEST

START_TEST(no_version_comes_again_after_a_removal)
{
    ck_assert(write_one(set("x", "1")) && write_one(set("x", "1")));
    ck_assert(write_one(removal("x")));
    ck_assert_uint_eq(now[0].version, 0);
    ck_assert(write_one(set("x", "1")));
    ck_assert_uint_eq(now[0].version, 3);
}
END_TEST

START_TEST(a_write_that_expects_another_version_is_refused_with_the_one_there_is)
{
    struct variable_write write = set("x", "1");
    write.expects = true;
    ck_assert(write_one(write));
    ck_assert(!write_one(write));
    ck_assert_int_eq(refusal.verdict, VARIABLES_CONFLICT);
    ck_assert_uint_eq(refusal.version, 1);
    write.expected_version = 1;
    ck_assert(write_one(write));
    write = removal("x");
    write.expects = true;
    write.expected_version = 1;
    ck_assert(!write_one(write));
    write.expected_version = 2;
    ck_assert(write_one(write));
}
END_TEST

START_TEST(a_batch_with_one_bad_write_changes_nothing)
{
    struct variable_write late = set("b", "2");
    late.expects = true;
    late.expected_version = 9;
    ck_assert(write_two(set("b", "1"), set("a", "2")));
    ck_assert_str_eq(all(), "a=2 b=1");
    size_t before = memory();
    ck_assert(!write_two(set("a", "22222"), late));
    ck_assert_uint_eq(refusal.index, 1);
    ck_assert(!write_two(set("c", "3"), removal("d")));
    ck_assert_int_eq(refusal.verdict, VARIABLES_UNKNOWN);
    ck_assert(!write_two(removal("a"), set("c", "no JSON")));
    ck_assert_int_eq(refusal.verdict, VARIABLES_INVALID);
    ck_assert_str_eq(all(), "a=2 b=1");
    ck_assert_uint_eq(memory(), before);
}
END_TEST

START_TEST(a_batch_does_not_write_a_variable_twice)
{
    ck_assert(!write_two(set("a", "1"), removal("a")));
    ck_assert_int_eq(refusal.verdict, VARIABLES_INVALID);
    ck_assert(variables_write(session, NULL, 0, NULL, &written, &refusal));
}
END_TEST

START_TEST(their_number_is_limited)
{
    ck_assert(write_two(set("a", "1"), set("b", "1")) && write_one(set("c", "1")));
    ck_assert(!write_one(set("d", "1")));
    ck_assert_int_eq(refusal.verdict, VARIABLES_MANY);
    ck_assert_uint_eq(refusal.limit, 3);
    ck_assert(write_two(set("d", "1"), removal("b")));
    ck_assert_str_eq(all(), "a=1 c=1 d=1");
}
END_TEST

/* A string of so many bytes with its quotes. */
static const char *string_of(size_t bytes, char out_text[1024])
{
    memset(out_text, 'x', bytes);
    out_text[0] = out_text[bytes - 1] = '"';
    out_text[bytes] = '\0';
    return out_text;
}

START_TEST(a_value_is_limited_in_size_and_so_are_all_together)
{
    char text[1024];
    ck_assert(!write_one(set("a", string_of(401, text))));
    ck_assert_int_eq(refusal.verdict, VARIABLES_LARGE);
    ck_assert(write_one(set("a", string_of(400, text))));
    ck_assert(write_one(set("a", string_of(400, text))));
    ck_assert(!write_one(set("b", string_of(400, text))));
    ck_assert_int_eq(refusal.verdict, VARIABLES_FULL);
    ck_assert_uint_eq(refusal.limit, 900);
}
END_TEST

START_TEST(a_value_that_grows_into_its_type_is_limited_too)
{
    char text[1024];
    struct variable_write write = {
        .name = BYTES("a"), .type = BYTES("embedding"), .value = bytes_from(text, 399)};
    memset(text, ',', 399);
    for (size_t i = 1; i < 398; i += 2)
        text[i] = '1';
    text[0] = '[';
    text[398] = ']';
    ck_assert(!write_one(write));
    ck_assert_int_eq(refusal.verdict, VARIABLES_LARGE);
}
END_TEST

START_TEST(what_all_sessions_keep_is_limited_and_given_back_at_their_end)
{
    char text[1024];
    struct session *other;
    session_open(store, &(struct session_wish){.id = BYTES("t")}, &other);
    const struct variable_write write = set("a", string_of(390, text));
    ck_assert(write_two(set("a", text), set("b", "1")));
    size_t one = memory();
    for (unsigned i = 0; i < 3; i++)
        ck_assert(write_one(set("a", text)));
    ck_assert_uint_eq(memory(), one);
    ck_assert(variables_write(other, &write, 1, NULL, &written, &refusal));
    ck_assert_uint_gt(memory(), one);
    ck_assert(session_delete(store, BYTES("t")));
    ck_assert_uint_eq(memory(), one);
    ck_assert(!variables_write(other, &write, 1, NULL, &written, &refusal));
    ck_assert_int_eq(refusal.verdict, VARIABLES_ENDED);
    session_unref(&other);
    ck_assert(write_two(removal("a"), removal("b")));
    ck_assert_uint_eq(memory(), 0);
}
END_TEST

START_TEST(several_are_read_by_distinct_names)
{
    struct variable found[3];
    struct arena *arena = arena_new(0);
    const struct bytes names[] = {BYTES("b"), BYTES("x"), BYTES("a"), BYTES("b")};
    ck_assert(write_two(set("a", "1"), set("b", "2")));
    ck_assert(variables_read(session, names, 3, arena, found));
    ck_assert(bytes_equal(found[0].value, BYTES("2")));
    ck_assert_uint_eq(found[1].version, 0);
    ck_assert(bytes_equal(found[2].value, BYTES("1")));
    ck_assert(!variables_read(session, names, 4, arena, found));
    arena_unref(&arena);
}
END_TEST

/* --- readers --- */

static unsigned told[100];
static uint64_t told_revision;

static void note(const struct variables_reader *reader, uint64_t number, uint64_t revision)
{
    ck_assert_uint_eq(number, session->number);
    told[reader->seat]++;
    told_revision = revision;
}

static struct variables_reader reader(unsigned seat)
{
    return (struct variables_reader){.changed = note, .seat = seat};
}

static bool write_by(unsigned seat, const char *value)
{
    const struct variables_reader by = reader(seat);
    const struct variable_write write = set("x", value);
    return variables_write(session, &write, 1, &by, &written, &refusal);
}

static void watch(unsigned seat)
{
    const struct variables_reader by = reader(seat);
    variables_watch(session, &by);
}

START_TEST(readers_are_told_once_of_what_others_write)
{
    memset(told, 0, sizeof told);
    watch(1);
    watch(2);
    watch(2);
    ck_assert(write_by(1, "1"));
    ck_assert_uint_eq(told_revision, variables_revision(session));
    ck_assert(write_by(1, "2"));
    ck_assert_uint_eq(told[1], 0);
    ck_assert_uint_eq(told[2], 1);
    ck_assert(write_one(set("x", "3")));
    ck_assert(write_one(set("x", "4")));
    ck_assert_uint_eq(told[1], 1);
    ck_assert_uint_eq(told[2], 1);
}
END_TEST

START_TEST(nobody_is_told_of_a_write_that_was_refused)
{
    memset(told, 0, sizeof told);
    watch(1);
    uint64_t revision = variables_revision(session);
    ck_assert(!write_one(set("x", "no JSON")));
    ck_assert_uint_eq(told[1], 0);
    ck_assert_uint_eq(variables_revision(session), revision);
}
END_TEST

START_TEST(readers_are_told_that_the_session_is_over)
{
    memset(told, 0, sizeof told);
    watch(1);
    ck_assert(!session_has_ended(session));
    ck_assert(session_delete(store, BYTES("s")));
    ck_assert(session_has_ended(session));
    ck_assert_uint_eq(told[1], 1);
    ck_assert_uint_eq(told_revision, variables_revision(session));
}
END_TEST

START_TEST(too_many_readers_make_room_for_a_new_one)
{
    memset(told, 0, sizeof told);
    for (unsigned i = 0; i < VARIABLES_READERS_MAX; i++)
        watch(i);
    ck_assert_uint_eq(told[0], 0);
    watch(VARIABLES_READERS_MAX);
    for (unsigned i = 0; i < VARIABLES_READERS_MAX; i++)
        ck_assert_uint_eq(told[i], 1);
    ck_assert(write_one(set("x", "1")));
    ck_assert_uint_eq(told[0], 1);
    ck_assert_uint_eq(told[VARIABLES_READERS_MAX], 1);
}
END_TEST

/* Somebody who removes what was written before the writer goes on. */
static void remove_it(const struct variables_reader *reader, uint64_t number, uint64_t revision)
{
    struct variable gone;
    struct variables_written removed = {.variables = &gone};
    const struct variable_write write = removal("x");
    (void)number;
    (void)reader;
    ck_assert(variables_write(session, &write, 1, NULL, &removed, &refusal));
    ck_assert_uint_eq(removed.revision, revision + 1);
    ck_assert_uint_eq(gone.version, 0);
}

START_TEST(what_was_written_is_told_though_it_is_gone_by_then)
{
    const struct variables_reader remover = {.changed = remove_it};
    struct variable_write write = set("x", "3");
    struct arena *arena = arena_new(0);
    write.type = BYTES("float");
    variables_watch(session, &remover);
    written.memory = arena;
    ck_assert(write_one(write));
    ck_assert_str_eq(all(), "");
    ck_assert(bytes_equal(now[0].name, BYTES("x")));
    ck_assert(bytes_equal(now[0].value, BYTES("3.0")));
    ck_assert_int_eq(now[0].type, VARIABLE_FLOAT);
    ck_assert_uint_eq(now[0].version, 1);
    ck_assert_uint_eq(written.revision, 1);
    arena_unref(&arena);
}
END_TEST

/* --- threads --- */

enum { RACES = 2000 };

static void *count_up(void *won)
{
    for (unsigned i = 0; i < RACES; i++) {
        char text[24];
        struct variables_refusal why;
        struct variable found;
        struct variables_written mine = {.variables = &found};
        struct arena *arena = arena_new(0);
        const struct bytes name = BYTES("n");
        ck_assert(variables_read(session, &name, 1, arena, &found));
        snprintf(text, sizeof text, "%ld", strtol(found.value.data, NULL, 10) + 1);
        struct variable_write write = set("n", text);
        write.expects = true;
        write.expected_version = found.version;
        *(unsigned *)won += variables_write(session, &write, 1, NULL, &mine, &why);
        arena_unref(&arena);
    }
    return NULL;
}

START_TEST(of_threads_that_race_each_wins_as_often_as_it_has_counted)
{
    pthread_t threads[2];
    unsigned won[2] = {0};
    char expected[32];
    ck_assert(write_one(set("n", "0")));
    for (unsigned i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, count_up, &won[i]);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    snprintf(expected, sizeof expected, "n=%u", won[0] + won[1]);
    ck_assert_str_eq(all(), expected);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("variables");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, each_write_gives_the_next_version);
    tcase_add_test(tests, no_version_comes_again_after_a_removal);
    tcase_add_test(tests, a_write_that_expects_another_version_is_refused_with_the_one_there_is);
    tcase_add_test(tests, a_batch_with_one_bad_write_changes_nothing);
    tcase_add_test(tests, a_batch_does_not_write_a_variable_twice);
    tcase_add_test(tests, their_number_is_limited);
    tcase_add_test(tests, a_value_is_limited_in_size_and_so_are_all_together);
    tcase_add_test(tests, a_value_that_grows_into_its_type_is_limited_too);
    tcase_add_test(tests, what_all_sessions_keep_is_limited_and_given_back_at_their_end);
    tcase_add_test(tests, several_are_read_by_distinct_names);
    tcase_add_test(tests, readers_are_told_once_of_what_others_write);
    tcase_add_test(tests, nobody_is_told_of_a_write_that_was_refused);
    tcase_add_test(tests, readers_are_told_that_the_session_is_over);
    tcase_add_test(tests, too_many_readers_make_room_for_a_new_one);
    tcase_add_test(tests, what_was_written_is_told_though_it_is_gone_by_then);
    tcase_add_test(tests, of_threads_that_race_each_wins_as_often_as_it_has_counted);
    return run_case(tests, "variables");
}
