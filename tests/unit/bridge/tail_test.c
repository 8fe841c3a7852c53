/* The last words of a worker. */
#include "bridge/tail.h"

#include "../base/run.h"

#include <string.h>
#include <unistd.h>

static uv_loop_t loop;
static struct tail *tail;
static int worker;

static void set_up(void)
{
    uv_loop_init(&loop);
    tail = tail_open(
        &loop,
        &(struct chatter_source){
            .pool = "default", .worker = "default-1", .stream = "stderr", .level = LOG_WARNING},
        &worker);
    ck_assert_ptr_nonnull(tail);
}

static void tear_down(void)
{
    close(worker);
    tail_close(&tail);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static void say(const char *text)
{
    ck_assert_int_eq(write(worker, text, strlen(text)), (ssize_t)strlen(text));
}

START_TEST(an_error_of_the_gpu_is_heard)
{
    static const char *const errors[] = {
        "RuntimeError: CUDA error: an illegal memory access was encountered\n",
        "Assertion `t >= 0` failed: device-side assert triggered\n",
        "ncclUnhandledCudaError: Call to CUDA function failed.\n", "CUDNN_STATUS_EXECUTION_FAILED"};
    say(errors[_i]);
    ck_assert(tail_blames_gpu(tail));
}
END_TEST

START_TEST(what_is_no_error_of_the_gpu_is_not)
{
    ck_assert(!tail_blames_gpu(tail));
    say("CUDA is available, NCCL version 2.18, 2 GPUs\nSegmentation fault\n");
    ck_assert(!tail_blames_gpu(tail));
}
END_TEST

START_TEST(an_error_is_heard_across_two_pieces_and_after_a_zero_byte)
{
    ck_assert_int_eq(write(worker, "a\0CUDA", 6), 6);
    uv_run(&loop, UV_RUN_NOWAIT);
    say(" error: unknown");
    ck_assert(tail_blames_gpu(tail));
}
END_TEST

START_TEST(an_error_is_forgotten_after_two_kilobytes_of_something_else)
{
    say("CUDA error: that was caught\n");
    ck_assert(tail_blames_gpu(tail));
    for (unsigned i = 0; i < 2048; i++)
        say("x");
    ck_assert(!tail_blames_gpu(tail));
}
END_TEST

START_TEST(what_a_worker_says_is_logged)
{
    char got[512] = "";
    int ours[2], saved = dup(2);
    ck_assert_int_eq(pipe(ours), 0);
    ck_assert_int_eq(dup2(ours[1], 2), 2);
    say("hello\n");
    uv_run(&loop, UV_RUN_NOWAIT);
    dup2(saved, 2);
    close(saved);
    ck_assert_int_gt(read(ours[0], got, sizeof got - 1), 0);
    ck_assert_ptr_nonnull(strstr(got, "\"stream\":\"stderr\",\"text\":\"hello\"}\n"));
    close(ours[0]);
    close(ours[1]);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("tail");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, an_error_of_the_gpu_is_heard, 0, 4);
    tcase_add_test(tests, what_is_no_error_of_the_gpu_is_not);
    tcase_add_test(tests, an_error_is_heard_across_two_pieces_and_after_a_zero_byte);
    tcase_add_test(tests, an_error_is_forgotten_after_two_kilobytes_of_something_else);
    tcase_add_test(tests, what_a_worker_says_is_logged);
    return run_case(tests, "tail");
}
