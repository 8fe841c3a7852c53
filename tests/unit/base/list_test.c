#include "base/list.h"

#include "run.h"

struct item {
    int number;
    struct list place;
};

static struct item items[4];

static void number_the_items(void)
{
    for (int i = 0; i < 4; i++) {
        items[i].number = i;
        list_init(&items[i].place);
    }
}

/* The numbers in list order as digits of one number: 0, 1, 2 -> 1012 (with a 1 in front). */
static int order_of(struct list *head)
{
    int order = 1;
    LIST_FOREACH (head, node, next)
        order = order * 10 + CONTAINER_OF(node, struct item, place)->number;
    return order;
}

START_TEST(new_list_is_empty)
{
    struct list head;
    list_init(&head);
    ck_assert(list_empty(&head));
    ck_assert_ptr_null(list_pop_front(&head));
    ck_assert_int_eq(order_of(&head), 1);
}
END_TEST

START_TEST(push_back_keeps_the_order)
{
    struct list head;
    list_init(&head);
    for (int i = 0; i < 4; i++)
        list_push_back(&head, &items[i].place);
    ck_assert_int_eq(order_of(&head), 10123);
}
END_TEST

START_TEST(push_front_reverses_the_order)
{
    struct list head;
    list_init(&head);
    for (int i = 0; i < 4; i++)
        list_push_front(&head, &items[i].place);
    ck_assert_int_eq(order_of(&head), 13210);
}
END_TEST

START_TEST(insert_before_a_node_puts_it_there)
{
    struct list head;
    list_init(&head);
    list_push_back(&head, &items[0].place);
    list_push_back(&head, &items[1].place);
    list_insert_before(&items[1].place, &items[2].place);
    ck_assert_int_eq(order_of(&head), 1021);
}
END_TEST

START_TEST(removed_node_is_in_no_list_and_may_be_removed_again)
{
    struct list head;
    list_init(&head);
    for (int i = 0; i < 3; i++)
        list_push_back(&head, &items[i].place);
    list_remove(&items[1].place);
    list_remove(&items[1].place);
    ck_assert(list_empty(&items[1].place));
    ck_assert_int_eq(order_of(&head), 102);
}
END_TEST

START_TEST(pop_front_takes_the_first)
{
    struct list head;
    list_init(&head);
    list_push_back(&head, &items[2].place);
    list_push_back(&head, &items[3].place);
    ck_assert_ptr_eq(list_pop_front(&head), &items[2].place);
    ck_assert_ptr_eq(list_pop_front(&head), &items[3].place);
    ck_assert(list_empty(&head));
}
END_TEST

START_TEST(current_node_may_be_removed_while_walking)
{
    struct list head;
    list_init(&head);
    for (int i = 0; i < 4; i++)
        list_push_back(&head, &items[i].place);
    LIST_FOREACH (&head, node, next) {
        if (CONTAINER_OF(node, struct item, place)->number % 2 == 0)
            list_remove(node);
    }
    ck_assert_int_eq(order_of(&head), 113);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("list");
    tcase_add_checked_fixture(tests, number_the_items, NULL);
    tcase_add_test(tests, new_list_is_empty);
    tcase_add_test(tests, push_back_keeps_the_order);
    tcase_add_test(tests, push_front_reverses_the_order);
    tcase_add_test(tests, insert_before_a_node_puts_it_there);
    tcase_add_test(tests, removed_node_is_in_no_list_and_may_be_removed_again);
    tcase_add_test(tests, pop_front_takes_the_first);
    tcase_add_test(tests, current_node_may_be_removed_while_walking);
    return run_case(tests, "list");
}
