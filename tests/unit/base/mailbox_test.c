#include "base/mailbox.h"

#include "run.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

enum { POSTERS = 4, LETTERS = 5000 };

struct letter {
    struct mail mail;
    int poster;
    int number;
};

static void count_wake(void *context)
{
    ++*(int *)context;
}

static int number_of(const struct mail *mail)
{
    return ((const struct letter *)(const void *)mail)->number;
}

START_TEST(empty_mailbox_drains_to_nothing)
{
    struct mailbox box;
    mailbox_init(&box, NULL, NULL);
    ck_assert_ptr_null(mailbox_drain(&box));
}
END_TEST

START_TEST(mail_is_drained_oldest_first)
{
    struct mailbox box;
    mailbox_init(&box, NULL, NULL);
    struct letter letters[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    for (size_t i = 0; i < 3; i++)
        mailbox_post(&box, &letters[i].mail);
    struct mail *mail = mailbox_drain(&box);
    for (int i = 0; i < 3; i++, mail = mail->next)
        ck_assert_int_eq(number_of(mail), i);
    ck_assert_ptr_null(mail);
    ck_assert_ptr_null(mailbox_drain(&box));
}
END_TEST

START_TEST(chain_keeps_its_order_between_single_posts)
{
    struct mailbox box;
    mailbox_init(&box, NULL, NULL);
    struct letter letters[5] = {
        {.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
    letters[1].mail.next = &letters[2].mail;
    letters[2].mail.next = &letters[3].mail;
    mailbox_post(&box, &letters[0].mail);
    mailbox_post_chain(&box, &letters[1].mail, &letters[3].mail);
    mailbox_post(&box, &letters[4].mail);
    struct mail *mail = mailbox_drain(&box);
    for (int i = 0; i < 5; i++, mail = mail->next)
        ck_assert_int_eq(number_of(mail), i);
    ck_assert_ptr_null(mail);
}
END_TEST

START_TEST(chain_of_one_is_a_post)
{
    struct mailbox box;
    mailbox_init(&box, NULL, NULL);
    struct letter letter = {.number = 7};
    mailbox_post_chain(&box, &letter.mail, &letter.mail);
    struct mail *mail = mailbox_drain(&box);
    ck_assert_ptr_eq(mail, &letter.mail);
    ck_assert_ptr_null(mail->next);
}
END_TEST

START_TEST(only_the_post_that_finds_it_empty_wakes)
{
    struct mailbox box;
    int wakes = 0;
    mailbox_init(&box, count_wake, &wakes);
    struct letter letters[4] = {{.number = 0}};
    mailbox_post(&box, &letters[0].mail);
    mailbox_post(&box, &letters[1].mail);
    letters[2].mail.next = &letters[3].mail;
    mailbox_post_chain(&box, &letters[2].mail, &letters[3].mail);
    ck_assert_int_eq(wakes, 1);
    mailbox_drain(&box);
    mailbox_post(&box, &letters[0].mail);
    ck_assert_int_eq(wakes, 2);
}
END_TEST

/* What the owner thread and its posters share. */
struct office {
    struct mailbox box;
    sem_t woken;
    atomic_int wakes;
    struct letter *letters; /* POSTERS rows of LETTERS */
};

static void wake_owner(void *context)
{
    struct office *office = context;
    atomic_fetch_add(&office->wakes, 1);
    sem_post(&office->woken);
}

struct poster {
    struct office *office;
    int number;
};

/* Posts its letters in turn as one, and as a chain of three. */
static void *post_letters(void *context)
{
    const struct poster *poster = context;
    struct letter *mine = poster->office->letters + (ptrdiff_t)poster->number * LETTERS;
    for (int i = 0; i < LETTERS; i++)
        mine[i] = (struct letter){.poster = poster->number, .number = i};
    for (int i = 0; i < LETTERS;) {
        if (i % 4 == 0 || i + 3 > LETTERS) {
            mailbox_post(&poster->office->box, &mine[i++].mail);
            continue;
        }
        mine[i].mail.next = &mine[i + 1].mail;
        mine[i + 1].mail.next = &mine[i + 2].mail;
        mailbox_post_chain(&poster->office->box, &mine[i].mail, &mine[i + 2].mail);
        i += 3;
    }
    return NULL;
}

/* Counts the letters of a batch; those of one poster must come in the order of posting. */
static int read_batch(struct mail *mail, int *expected)
{
    int count = 0;
    for (; mail; mail = mail->next, count++) {
        const struct letter *letter = CONTAINER_OF(mail, struct letter, mail);
        if (letter->number != expected[letter->poster]++)
            ck_abort_msg("poster %d: letter %d out of order", letter->poster, letter->number);
    }
    return count;
}

START_TEST(four_posting_threads_lose_nothing_and_keep_their_order)
{
    struct office office = {.letters = calloc(POSTERS * LETTERS, sizeof(struct letter))};
    mailbox_init(&office.box, wake_owner, &office);
    sem_init(&office.woken, 0, 0);
    struct poster posters[POSTERS];
    pthread_t threads[POSTERS];
    for (int i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){&office, i};
        pthread_create(&threads[i], NULL, post_letters, &posters[i]);
    }
    int expected[POSTERS] = {0};
    int batches = 0;
    for (int count = 0; count < POSTERS * LETTERS; batches++) {
        sem_wait(&office.woken);
        int batch = read_batch(mailbox_drain(&office.box), expected);
        ck_assert_int_gt(batch, 0);
        count += batch;
    }
    for (int i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(atomic_load(&office.wakes), batches);
    ck_assert_ptr_null(mailbox_drain(&office.box));
    free(office.letters);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("mailbox");
    tcase_add_test(tests, empty_mailbox_drains_to_nothing);
    tcase_add_test(tests, mail_is_drained_oldest_first);
    tcase_add_test(tests, chain_keeps_its_order_between_single_posts);
    tcase_add_test(tests, chain_of_one_is_a_post);
    tcase_add_test(tests, only_the_post_that_finds_it_empty_wakes);
    tcase_add_test(tests, four_posting_threads_lose_nothing_and_keep_their_order);
    return run_case(tests, "mailbox");
}
