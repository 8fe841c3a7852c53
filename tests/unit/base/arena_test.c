#include "base/arena.h"

#include "run.h"

#include <pthread.h>
#include <stdint.h>

START_TEST(memory_is_aligned_for_any_type)
{
    struct arena *arena = arena_new(0);
    for (size_t size = 0; size < 300; size++)
        ck_assert_uint_eq((uintptr_t)arena_alloc(arena, size) % _Alignof(max_align_t), 0);
    arena_unref(&arena);
}
END_TEST

/* Sizes from none to far above a block, so that every way of finding memory is taken. */
START_TEST(allocations_do_not_overlap)
{
    enum { COUNT = 2000 };
    struct arena *arena = arena_new(100);
    unsigned char *places[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        places[i] = arena_alloc(arena, i * 7);
        memset(places[i], (int)(i & 0xff), i * 7);
    }
    for (size_t i = 0; i < COUNT; i++) {
        size_t wrong = 0;
        for (size_t byte = 0; byte < i * 7; byte++)
            wrong += places[i][byte] != (i & 0xff);
        ck_assert_uint_eq(wrong, 0);
    }
    arena_unref(&arena);
}
END_TEST

START_TEST(large_allocation_leaves_the_current_block_in_use)
{
    struct arena *arena = arena_new(0);
    char *before = arena_alloc(arena, 16);
    memset(arena_alloc(arena, 1 << 20), 1, 1 << 20);
    char *after = arena_alloc(arena, 16);
    ck_assert(after > before && after < before + 4096);
    arena_unref(&arena);
}
END_TEST

START_TEST(zeroed_memory_is_zero)
{
    struct arena *arena = arena_new(0);
    memset(arena_alloc(arena, 500), 0xff, 500);
    const char *zeroed = arena_zalloc(arena, 500);
    for (size_t i = 0; i < 500; i++)
        ck_assert_int_eq(zeroed[i], 0);
    arena_unref(&arena);
}
END_TEST

START_TEST(copy_ends_with_a_zero_byte_that_is_not_counted)
{
    struct arena *arena = arena_new(0);
    struct bytes copy = arena_copy(arena, bytes_from("a\0bcd", 3));
    ck_assert_uint_eq(copy.len, 3);
    ck_assert_mem_eq(copy.data, "a\0b", 4);
    ck_assert_str_eq(arena_string(arena, bytes_from("abcd", 2)), "ab");
    arena_unref(&arena);
}
END_TEST

START_TEST(empty_bytes_without_data_are_copied)
{
    struct arena *arena = arena_new(0);
    ck_assert_str_eq(arena_string(arena, bytes_of(NULL)), "");
    arena_unref(&arena);
}
END_TEST

START_TEST(printf_makes_room_for_long_texts)
{
    struct arena *arena = arena_new(16);
    char *text = arena_printf(arena, "%s-%05000d", "call", 7);
    ck_assert_uint_eq(strlen(text), 5005);
    ck_assert_str_eq(text + 5000, "00007");
    arena_unref(&arena);
}
END_TEST

START_TEST(memory_lives_until_the_last_reference_goes)
{
    struct arena *arena = arena_new(0);
    struct arena *other = arena_ref(arena);
    char *text = arena_string(arena, BYTES("still here"));
    arena_unref(&arena);
    ck_assert_ptr_null(arena);
    ck_assert_str_eq(text, "still here");
    arena_unref(&other);
}
END_TEST

START_TEST(dropping_nothing_is_harmless)
{
    struct arena *none = NULL;
    arena_unref(&none);
}
END_TEST

static void *take_and_drop(void *context)
{
    struct arena *arena = context;
    for (int i = 0; i < 10000; i++) {
        struct arena *mine = arena_ref(arena);
        arena_unref(&mine);
    }
    arena_unref(&arena);
    return NULL;
}

START_TEST(references_are_counted_across_threads)
{
    struct arena *arena = arena_new(0);
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, take_and_drop, arena_ref(arena));
    arena_unref(&arena);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}
END_TEST

struct counter {
    struct arena_hook hook;
    int order;
};
static int hooks_run;

static void count(struct arena_hook *hook)
{
    ((struct counter *)(void *)hook)->order = ++hooks_run;
}

START_TEST(hooks_run_when_the_last_reference_goes)
{
    struct arena *arena = arena_new(0);
    struct arena *second = arena_ref(arena);
    struct counter first = {.hook.run = count}, last = {.hook.run = count};
    hooks_run = 0;
    arena_add_hook(arena, &first.hook);
    arena_add_hook(arena, &last.hook);
    arena_unref(&arena);
    ck_assert_int_eq(hooks_run, 0);
    arena_unref(&second);
    ck_assert_int_eq(last.order, 1);
    ck_assert_int_eq(first.order, 2);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("arena");
    tcase_add_test(tests, memory_is_aligned_for_any_type);
    tcase_add_test(tests, allocations_do_not_overlap);
    tcase_add_test(tests, large_allocation_leaves_the_current_block_in_use);
    tcase_add_test(tests, zeroed_memory_is_zero);
    tcase_add_test(tests, copy_ends_with_a_zero_byte_that_is_not_counted);
    tcase_add_test(tests, empty_bytes_without_data_are_copied);
    tcase_add_test(tests, printf_makes_room_for_long_texts);
    tcase_add_test(tests, memory_lives_until_the_last_reference_goes);
    tcase_add_test(tests, dropping_nothing_is_harmless);
    tcase_add_test(tests, references_are_counted_across_threads);
    tcase_add_test(tests, hooks_run_when_the_last_reference_goes);
    return run_case(tests, "arena");
}
