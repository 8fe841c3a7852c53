/* Answers that come later or again, over a pool whose worker is written down and a protocol that
 * remembers. */
#include "server/calls/deferral.h"

#include "../../base/run.h"
#include "../../pool/fake.h"
#include "base/clock.h"
#include "server/calls/ledger.h"
#include "server/http/reactor.h"
#include "server/requests/gateway.h"

#include <stdio.h>

enum { HEADERS_MAX = 4, EXCHANGES_MAX = 4 };

/* One exchange under test, and what it was answered with. */
struct asker {
    struct exchange exchange; /* first */
    const char *headers[HEADERS_MAX][2];
    struct response sent;
    unsigned answers;
};

static struct fake fake;
static struct gateway gateway;
static struct router *router;
static struct reactor *reactor;
static struct asker *askers[EXCHANGES_MAX];
static unsigned asker_count;

/* --- a protocol that remembers --- */

static unsigned count(struct exchange *exchange, struct bytes name)
{
    const struct asker *asker = (const struct asker *)exchange;
    unsigned found = 0;
    for (unsigned i = 0; i < HEADERS_MAX && asker->headers[i][0]; i++)
        found += bytes_equal(bytes_of(asker->headers[i][0]), name);
    return found;
}

static struct bytes header(struct exchange *exchange, struct bytes name)
{
    const struct asker *asker = (const struct asker *)exchange;
    for (unsigned i = 0; i < HEADERS_MAX && asker->headers[i][0]; i++) {
        if (bytes_equal(bytes_of(asker->headers[i][0]), name))
            return bytes_of(asker->headers[i][1]);
    }
    return (struct bytes){0};
}

static void respond(struct exchange *exchange, const struct response *response)
{
    struct asker *asker = (struct asker *)exchange;
    asker->sent = *response;
    asker->answers++;
}

static const struct exchange_protocol protocol = {
    .version = "1.1", .header = header, .count = count, .respond = respond};

static void hold(struct exchange *exchange)
{
    (void)exchange;
}

static const struct route table[] = {{"POST", "/execute", hold, 0, 0}};

/* --- setting up --- */

static void set_up(void)
{
    const struct http_options options = http_options_default();
    const struct reactor_hooks hooks = {.context = &gateway};
    fake_init(&fake, NULL);
    fake_attach(&fake);
    router = router_new(table, 1);
    reactor = reactor_new(&options, router, &hooks, NULL);
    gateway = (struct gateway){.pools = {fake.pool}, .pool_count = 1, .reactors = {reactor}};
    gateway.ledger =
        ledger_new(&(struct ledger_options){.keep_us = UINT64_C(1) << 60, .keep_bytes = 1 << 20});
    list_init(&gateway.deferrals[0]);
    asker_count = 0;
}

static void open_all(struct mailbox *mailbox)
{
    struct mail *next = NULL;
    for (struct mail *mail = mailbox_drain(mailbox); mail; mail = next) {
        next = mail->next;
        mail->open(mail);
    }
}

/* The calls that have ended reach their jobs, and these who waits for them. */
static void deliver(void)
{
    open_all(&fake.home);
    open_all(reactor_inbox(reactor));
}

static void leave(struct asker *asker)
{
    for (unsigned i = 0; i < asker_count; i++) {
        if (askers[i] == asker)
            askers[i] = NULL;
    }
    exchange_end(&asker->exchange);
}

static void tear_down(void)
{
    pool_stop(fake.pool, 0);
    deliver();
    for (unsigned i = 0; i < asker_count; i++) {
        if (askers[i])
            leave(askers[i]);
    }
    deliver();
    ledger_free(&gateway.ledger);
    reactor_free(&reactor);
    router_free(&router);
    fake_deinit(&fake);
}

/* A request with up to two headers, whose handler has it. */
static struct asker *arrive(const char *name, const char *value, const char *name2,
                            const char *value2)
{
    struct arena *arena = arena_new(0);
    struct asker *asker = arena_zalloc(arena, sizeof *asker);
    asker->exchange.protocol = &protocol;
    asker->exchange.reactor = reactor;
    asker->exchange.arena = arena;
    asker->exchange.method = BYTES("POST");
    asker->exchange.path = BYTES("/execute");
    asker->headers[0][0] = name;
    asker->headers[0][1] = value;
    asker->headers[1][0] = name2;
    asker->headers[1][1] = value2;
    exchange_begin(&asker->exchange);
    exchange_body_end(&asker->exchange);
    askers[asker_count++] = asker;
    return asker;
}

static void start(struct asker *asker, const char *args, uint64_t limit_us, enum result_shape shape)
{
    struct deferral_wish wish;
    struct call *call = call_new(asker->exchange.arena);
    call->tool = fake.slow;
    call->home = &fake.home;
    call->args = bytes_of(args);
    call->request_id = arena_copy(call->arena, asker->exchange.request_id);
    const struct invocation_request request = {.tool = call->tool->spec.name, .args = call->args};
    ck_assert(deferral_read(&asker->exchange, &wish));
    wish.limit_us = limit_us;
    idempotency_print(&asker->exchange, &request, (struct bytes){0}, false, &wish.once);
    deferral_start(&asker->exchange, call, &wish, shape);
}

/* A request with a header, whose call has begun. */
static struct asker *ask(const char *name, const char *value, enum result_shape shape)
{
    struct asker *asker = arrive(name, value, NULL, NULL);
    start(asker, "{}", 0, shape);
    return asker;
}

static struct asker *ask_with_key(void)
{
    return ask("idempotency-key", "k", RESULT_ENVELOPE);
}

/* The worker's answer to the one call that there is has reached everybody. */
static void answer(void)
{
    fake_answer(&fake, 0, 1000);
    deliver();
}

static void assert_sent(const struct asker *asker, unsigned status, const char *body)
{
    struct buffer text = {0};
    ck_assert_uint_eq(asker->answers, 1);
    ck_assert_uint_eq(asker->sent.status, status);
    for (unsigned i = 0; i < asker->sent.part_count; i++)
        buffer_add(&text, asker->sent.parts[i]);
    buffer_add(&text, BYTES("\0"));
    ck_assert_msg(strstr(text.data, body) != NULL, "%s", text.data);
    buffer_deinit(&text);
}

static bool has_header(const struct asker *asker, const char *name)
{
    for (unsigned i = 0; i < asker->sent.header_count; i++) {
        if (bytes_equal(asker->sent.headers[i].name, bytes_of(name)))
            return true;
    }
    return false;
}

/* --- what is asked for --- */

START_TEST(preferences_are_read_as_they_are_written)
{
    static const struct {
        const char *text;
        bool is_async;
        unsigned wait_s;
    } cases[] = {
        {"respond-async", true, 0},
        {"Respond-Async, wait=5", true, 5},
        {"wait=5,respond-async", true, 5},
        {"respond-async, wait=\"5\"", true, 5},
        {"respond-async;x=1, wait = 5 ;y", true, 5},
        {"respond-async, wait=\"5", true, 0},
        {"respond-async, wait=soon", true, 0},
        {"respond-async, wait=", true, 0},
        {"respond-async, wait=86400", true, 86400},
        {"respond-async, wait=99999999999999999999", true, 86400},
        {"wait=5", false, 5},
        {"return=minimal", false, 0},
        {"", false, 0},
        {",,;=\"", false, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct deferral_wish wish;
        struct asker *asker = arrive("prefer", cases[i].text, NULL, NULL);
        ck_assert(deferral_read(&asker->exchange, &wish));
        ck_assert_msg(wish.is_async == cases[i].is_async, "%s", cases[i].text);
        ck_assert_msg(wish.wait_us == cases[i].wait_s * UINT64_C(1000000), "%s: %llu",
                      cases[i].text, (unsigned long long)wish.wait_us);
        leave(asker);
        asker_count = 0;
    }
}
END_TEST

static void assert_good(const char *key, bool good)
{
    struct idempotency read;
    struct asker *asker = arrive("idempotency-key", key, NULL, NULL);
    ck_assert_msg(idempotency_read(&asker->exchange, &read) == good, "%s", key);
    if (!good)
        assert_sent(asker, 400, "1 to 255 visible characters");
    leave(asker);
    asker_count = 0;
}

START_TEST(a_key_is_visible_and_not_too_long)
{
    char longest[257] = "";
    memset(longest, 'k', 255);
    assert_good(longest, true);
    longest[255] = 'k';
    assert_good(longest, false);
    assert_good("", false);
    assert_good("a\tb", false);
}
END_TEST

START_TEST(a_key_is_given_once)
{
    struct idempotency key;
    struct asker *asker = arrive("idempotency-key", "same", "idempotency-key", "same");
    ck_assert(!idempotency_read(&asker->exchange, &key));
    assert_sent(asker, 400, "idempotency-key must be given once");
}
END_TEST

/* --- later --- */

START_TEST(what_may_come_later_is_announced_at_once)
{
    struct asker *asker = ask("prefer", "respond-async", RESULT_ENVELOPE);
    assert_sent(asker, 202, "\"location\":\"/calls/");
    ck_assert(has_header(asker, "location") && has_header(asker, "preference-applied"));
    answer();
    ck_assert_uint_eq(asker->answers, 1);
}
END_TEST

START_TEST(who_waits_gets_the_outcome_in_its_shape)
{
    struct asker *asker = ask("prefer", "respond-async, wait=9", RESULT_BARE);
    deferral_sweep(&gateway.deferrals[0], clock_now_us());
    ck_assert_uint_eq(asker->answers, 0);
    answer();
    assert_sent(asker, 200, "1");
    ck_assert_uint_eq(asker->sent.part_count, 1);
}
END_TEST

START_TEST(who_has_waited_for_long_enough_is_told_where_it_will_be)
{
    struct asker *asker = ask("prefer", "respond-async, wait=9", RESULT_ENVELOPE);
    deferral_sweep(&gateway.deferrals[0], clock_now_us() + 10000000);
    assert_sent(asker, 202, "location");
    deferral_sweep(&gateway.deferrals[0], clock_now_us() + 10000000);
    answer();
    ck_assert_uint_eq(asker->answers, 1);
}
END_TEST

START_TEST(what_is_fetched_has_the_shape_that_it_was_asked_for)
{
    struct asker *asker = ask("prefer", "respond-async", RESULT_BARE);
    struct job *job = ledger_find(gateway.ledger, asker->exchange.request_id);
    struct asker *early = arrive(NULL, NULL, NULL, NULL);
    deferral_fetch(&early->exchange, job_ref(job));
    assert_sent(early, 202, "location");
    ck_assert(!has_header(early, "preference-applied"));
    answer();
    struct asker *late = arrive(NULL, NULL, NULL, NULL);
    deferral_fetch(&late->exchange, job);
    assert_sent(late, 200, "1");
    ck_assert_uint_eq(late->sent.part_count, 1);
}
END_TEST

/* --- again --- */

START_TEST(a_second_request_with_the_key_gets_the_answer_of_the_first)
{
    struct asker *first = ask_with_key(), *second = ask_with_key();
    ck_assert_uint_eq(fake.invoke_count, 1);
    answer();
    assert_sent(first, 200, "\"result\":1");
    assert_sent(second, 200, "\"result\":1");
    ck_assert(!has_header(first, "idempotency-replayed"));
    ck_assert(has_header(second, "idempotency-replayed"));
}
END_TEST

START_TEST(another_request_with_the_key_is_refused)
{
    struct asker *first = ask_with_key();
    struct asker *second = arrive("idempotency-key", "k", NULL, NULL);
    start(second, "{\"x\":1}", 0, RESULT_ENVELOPE);
    assert_sent(second, 422, "idempotency_mismatch");
    ck_assert_uint_eq(first->answers, 0);
}
END_TEST

START_TEST(who_joins_has_a_limit_of_its_own)
{
    struct asker *first = ask_with_key();
    struct asker *second = arrive("idempotency-key", "k", NULL, NULL);
    start(second, "{}", 200000, RESULT_ENVELOPE);
    deferral_sweep(&gateway.deferrals[0], clock_now_us());
    ck_assert_uint_eq(second->answers, 0);
    deferral_sweep(&gateway.deferrals[0], clock_now_us() + 200000);
    assert_sent(second, 504, "deadline_exceeded");
    ck_assert_uint_eq(fake.cancel_count, 0);
    answer();
    assert_sent(first, 200, "\"result\":1");
    ck_assert_uint_eq(second->answers, 1);
}
END_TEST

START_TEST(a_client_that_leaves_ends_nothing_for_the_others)
{
    struct asker *first = ask_with_key(), *second = ask_with_key();
    leave(first);
    ck_assert_uint_eq(fake.cancel_count, 0);
    fake_answer(&fake, 0, 1000);
    open_all(&fake.home);
    leave(second); /* while its mail is under way */
    deliver();
    struct asker *third = ask_with_key();
    deliver();
    assert_sent(third, 200, "\"result\":1");
    ck_assert_uint_eq(fake.invoke_count, 1);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("deferral");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, preferences_are_read_as_they_are_written);
    tcase_add_test(tests, a_key_is_visible_and_not_too_long);
    tcase_add_test(tests, a_key_is_given_once);
    tcase_add_test(tests, what_may_come_later_is_announced_at_once);
    tcase_add_test(tests, who_waits_gets_the_outcome_in_its_shape);
    tcase_add_test(tests, who_has_waited_for_long_enough_is_told_where_it_will_be);
    tcase_add_test(tests, what_is_fetched_has_the_shape_that_it_was_asked_for);
    tcase_add_test(tests, a_second_request_with_the_key_gets_the_answer_of_the_first);
    tcase_add_test(tests, another_request_with_the_key_is_refused);
    tcase_add_test(tests, who_joins_has_a_limit_of_its_own);
    tcase_add_test(tests, a_client_that_leaves_ends_nothing_for_the_others);
    return run_case(tests, "deferral");
}
