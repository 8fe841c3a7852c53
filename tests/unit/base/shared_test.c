#include "base/shared.h"

#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct arena *arena;

static void set_up(void)
{
    arena = arena_new(0);
}

static void tear_down(void)
{
    arena_unref(&arena);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

START_TEST(what_was_appended_is_read_once_it_is_sealed)
{
    struct shared *shared = shared_new(arena);
    ck_assert_ptr_nonnull(shared);
    ck_assert(shared_append(shared, BYTES("one, ")));
    ck_assert(shared_append(shared, BYTES("two")));
    ck_assert(shared_seal(shared));
    ck_assert(bytes_equal(shared_bytes(shared), BYTES("one, two")));
}
END_TEST

START_TEST(nobody_can_change_what_is_sealed)
{
    struct shared *shared = shared_new(arena);
    ck_assert(shared_append(shared, BYTES("constant")) && shared_seal(shared));
    ck_assert_int_eq(pwrite(shared->fd, "x", 1, 0), -1);
    ck_assert_int_eq(ftruncate(shared->fd, 0), -1);
    ck_assert_ptr_eq(mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, shared->fd, 0), MAP_FAILED);
}
END_TEST

START_TEST(a_span_is_in_it_or_not)
{
    struct shared *shared = shared_new(arena);
    ck_assert(shared_append(shared, BYTES("abc")));
    ck_assert(!shared_holds(shared, BYTES("abc")));
    ck_assert(shared_seal(shared));
    ck_assert(shared_holds(shared, bytes_from(shared->data + 1, 2)));
    ck_assert(!shared_holds(shared, bytes_from(shared->data + 1, 3)));
    ck_assert(!shared_holds(NULL, BYTES("abc")));
}
END_TEST

START_TEST(its_descriptor_goes_with_the_arena)
{
    struct arena *mine = arena_new(0);
    struct shared *shared = shared_new(mine);
    int fd = shared->fd;
    ck_assert(is_open(fd));
    arena_unref(&mine);
    ck_assert(!is_open(fd));
}
END_TEST

/* Memory as another process may have made it. */
static int make(const char *content, int seals)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ck_assert_int_eq(write(fd, content, strlen(content)), (ssize_t)strlen(content));
    ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

START_TEST(sealed_memory_of_another_process_is_read)
{
    int fd = make("from there", F_SEAL_WRITE | F_SEAL_SHRINK);
    struct shared *shared = shared_adopt(arena, fd, 4);
    ck_assert(bytes_equal(shared_bytes(shared), BYTES("from")));
    ck_assert(is_open(fd) && shared->fd == fd);
    shared_close(shared);
    ck_assert(!is_open(fd));
    ck_assert(bytes_equal(shared_bytes(shared), BYTES("from")));
}
END_TEST

START_TEST(memory_that_could_change_or_shrink_is_not_read)
{
    static const int seals[] = {0, F_SEAL_WRITE, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_SEAL};
    for (size_t i = 0; i < sizeof seals / sizeof seals[0]; i++) {
        int fd = make("from there", seals[i]);
        ck_assert_ptr_null(shared_adopt(arena, fd, 4));
        ck_assert(!is_open(fd));
    }
}
END_TEST

START_TEST(memory_that_is_shorter_than_it_should_be_is_not_read)
{
    int all = F_SEAL_WRITE | F_SEAL_SHRINK;
    ck_assert_ptr_null(shared_adopt(arena, make("four", all), 5));
    ck_assert_ptr_null(shared_adopt(arena, make("four", all), SIZE_MAX));
    ck_assert_ptr_null(shared_adopt(arena, make("four", all), 0));
}
END_TEST

START_TEST(what_is_no_memory_is_not_read)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    close(ends[1]);
    ck_assert_ptr_null(shared_adopt(arena, ends[0], 1));
    ck_assert_ptr_null(shared_adopt(arena, open("/dev/zero", O_RDONLY), 1));
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("shared");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, what_was_appended_is_read_once_it_is_sealed);
    tcase_add_test(tests, nobody_can_change_what_is_sealed);
    tcase_add_test(tests, a_span_is_in_it_or_not);
    tcase_add_test(tests, its_descriptor_goes_with_the_arena);
    tcase_add_test(tests, sealed_memory_of_another_process_is_read);
    tcase_add_test(tests, memory_that_could_change_or_shrink_is_not_read);
    tcase_add_test(tests, memory_that_is_shorter_than_it_should_be_is_not_read);
    tcase_add_test(tests, what_is_no_memory_is_not_read);
    return run_case(tests, "shared");
}
