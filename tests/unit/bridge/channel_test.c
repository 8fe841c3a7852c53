#include "bridge/channel.h"

#include "../base/run.h"
#include "base/shared.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* The worker's side is written by hand here; channel.py does the same. */

static struct channel *channel;
static struct arena *arena;
static int theirs;

static void set_up(void)
{
    channel = channel_new(&theirs);
    ck_assert_ptr_nonnull(channel);
    arena = arena_new(0);
}

static void tear_down(void)
{
    channel_unref(&channel);
    arena_unref(&arena);
    close(theirs);
}

/* As the gateway does. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* As the worker does it: `size` bytes of `id`, with `count` copies of `fd`. */
static void post(uint64_t id, size_t size, int fd, unsigned count)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(4 * sizeof(int))];
    } control = {0};
    struct iovec vector = {&id, size};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    const int fds[4] = {fd, fd, fd, fd};
    if (count) {
        message.msg_control = control.space;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        control.header = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                                          .cmsg_type = SCM_RIGHTS,
                                          .cmsg_len = CMSG_LEN(count * sizeof(int))};
        memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
    }
    ck_assert_int_eq(sendmsg(theirs, &message, 0), (ssize_t)size);
}

static int make(const char *content)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ck_assert_int_eq(write(fd, content, strlen(content)), (ssize_t)strlen(content));
    ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK), 0);
    return fd;
}

static void post_text(uint64_t id, const char *content)
{
    int fd = make(content);
    post(id, sizeof id, fd, 1);
    close(fd);
}

/* The content of what came under that id, or of nothing. */
static const char *take(uint64_t id)
{
    static char content[16];
    int fd = channel_take(channel, id);
    memset(content, 0, sizeof content);
    if (fd < 0)
        return "";
    ck_assert_int_gt(pread(fd, content, sizeof content - 1, 0), 0);
    close(fd);
    return content;
}

START_TEST(descriptors_are_taken_in_any_order)
{
    post_text(1, "one");
    post_text(2, "two");
    post_text(3, "six");
    ck_assert_str_eq(take(3), "six");
    ck_assert_str_eq(take(1), "one");
    ck_assert_str_eq(take(2), "two");
    ck_assert_str_eq(take(2), "");
}
END_TEST

START_TEST(packets_that_make_no_sense_are_passed_over)
{
    int fd = make("large");
    post(7, 4, fd, 1);
    post(7, sizeof(uint64_t), fd, 0);
    post(8, sizeof(uint64_t), fd, 4);
    post(7, sizeof(uint64_t), fd, 1);
    close(fd);
    ck_assert_str_eq(take(7), "large");
}
END_TEST

START_TEST(of_descriptors_that_nobody_asks_for_the_oldest_are_forgotten)
{
    raise_file_limit();
    for (uint64_t id = 1; id <= CHANNEL_KEPT_MAX + 1; id++) {
        post_text(id, "large");
        ck_assert_int_eq(channel_take(channel, 9999), -1); /* the socket holds fewer */
    }
    ck_assert_int_eq(channel_take(channel, 1), -1);
    int second = channel_take(channel, 2);
    ck_assert(is_open(second));
    close(second);
}
END_TEST

START_TEST(what_was_not_asked_for_goes_with_the_channel)
{
    int before = dup(0);
    close(before); /* the lowest number that is free */
    post_text(1, "large");
    ck_assert_int_eq(channel_take(channel, 2), -1);
    ck_assert(is_open(before));
    channel_unref(&channel);
    ck_assert(!is_open(before));
}
END_TEST

START_TEST(a_worker_that_does_not_read_is_sent_no_more)
{
    int fd = make("large");
    unsigned sent = 0;
    while (sent < 100000 && channel_send(channel, sent, fd))
        sent++;
    ck_assert_uint_gt(sent, 8);
    ck_assert_uint_lt(sent, 100000);
    close(fd);
}
END_TEST

START_TEST(a_worker_that_is_gone_is_sent_nothing)
{
    close(theirs);
    ck_assert(!channel_send(channel, 1, 0));
    theirs = dup(0);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("channel");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, descriptors_are_taken_in_any_order);
    tcase_add_test(tests, packets_that_make_no_sense_are_passed_over);
    tcase_add_test(tests, of_descriptors_that_nobody_asks_for_the_oldest_are_forgotten);
    tcase_add_test(tests, what_was_not_asked_for_goes_with_the_channel);
    tcase_add_test(tests, a_worker_that_does_not_read_is_sent_no_more);
    tcase_add_test(tests, a_worker_that_is_gone_is_sent_nothing);
    return run_case(tests, "channel");
}
