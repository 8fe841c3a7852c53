#include "base/heap.h"
#include "run.h"

#include <stdlib.h>

enum { NODES = 200 };

static struct heap heap;
static struct heap_node nodes[NODES];

static void set_up(void)
{
    heap = (struct heap){0};
    for (unsigned i = 0; i < NODES; i++)
        nodes[i] = (struct heap_node){0};
}

static void tear_down(void)
{
    heap_deinit(&heap);
}

static void expect_order(void)
{
    uint64_t last = 0;
    for (struct heap_node *first = heap_first(&heap); first; first = heap_first(&heap)) {
        ck_assert_uint_ge(first->key, last);
        last = first->key;
        heap_remove(&heap, first);
    }
}

START_TEST(an_empty_heap_has_no_first)
{
    ck_assert_ptr_null(heap_first(&heap));
}
END_TEST

START_TEST(nodes_come_out_by_key)
{
    srand(1);
    for (unsigned i = 0; i < NODES; i++)
        heap_set(&heap, &nodes[i], (uint64_t)rand() % 50);
    expect_order();
}
END_TEST

START_TEST(a_node_that_is_set_again_moves)
{
    heap_set(&heap, &nodes[0], 1);
    heap_set(&heap, &nodes[1], 2);
    heap_set(&heap, &nodes[0], 3);
    ck_assert_uint_eq(heap.count, 2);
    ck_assert_ptr_eq(heap_first(&heap), &nodes[1]);
    heap_set(&heap, &nodes[0], 1);
    ck_assert_ptr_eq(heap_first(&heap), &nodes[0]);
}
END_TEST

START_TEST(removing_from_the_middle_keeps_the_order)
{
    srand(2);
    for (unsigned i = 0; i < NODES; i++)
        heap_set(&heap, &nodes[i], (uint64_t)rand() % 1000);
    for (unsigned i = 0; i < NODES; i += 3)
        heap_remove(&heap, &nodes[i]);
    ck_assert_uint_eq(heap.count, NODES - (NODES + 2) / 3);
    expect_order();
}
END_TEST

START_TEST(removing_what_is_not_in_is_harmless)
{
    heap_remove(&heap, &nodes[0]);
    heap_set(&heap, &nodes[0], 1);
    heap_remove(&heap, &nodes[0]);
    heap_remove(&heap, &nodes[0]);
    ck_assert(!heap_holds(&nodes[0]));
    ck_assert_uint_eq(heap.count, 0);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("heap");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, an_empty_heap_has_no_first);
    tcase_add_test(tests, nodes_come_out_by_key);
    tcase_add_test(tests, a_node_that_is_set_again_moves);
    tcase_add_test(tests, removing_from_the_middle_keeps_the_order);
    tcase_add_test(tests, removing_what_is_not_in_is_harmless);
    return run_case(tests, "heap");
}
