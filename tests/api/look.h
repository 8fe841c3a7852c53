/* What the gateway says of its pool and in its metrics, as numbers. */
#ifndef SNAKEPIT_TESTS_API_LOOK_H
#define SNAKEPIT_TESTS_API_LOOK_H

#include "suite.h"

#include <stdio.h>
#include <string.h>

enum { LOOK_SECONDS = 60 };

/* GET /pools/default; the caller keeps the answer for as long as the document. */
static inline json_t *look(struct answer *out)
{
    *out = client_get(client, "/pools/default");
    ck_assert_int_eq(out->status, 200);
    return answer_json(out, "application/json");
}

/* A number in the pool's document: "breaker.opened". */
static inline json_int_t pool_number(const char *path)
{
    struct answer answer;
    json_t *at = look(&answer);
    char names[64], *rest = names;
    snprintf(names, sizeof(names), "%s", path);
    for (char *name; (name = strsep(&rest, ".")) != NULL;)
        at = json_object_get(at, name);
    ck_assert_msg(json_is_integer(at), "no number %s in %s", path, answer.body);
    json_int_t number = json_integer_value(at);
    answer_deinit(&answer);
    return number;
}

/* Returns the seconds it took. */
static inline double wait_for_number(const char *path, json_int_t number)
{
    double begin = now_seconds();
    for (; pool_number(path) != number; sleep_ms(2))
        ck_assert_msg(now_seconds() - begin < LOOK_SECONDS, "%s is never %d", path, (int)number);
    return now_seconds() - begin;
}

/* The value of one sample of /metrics, by its whole name with labels. */
static inline double metric(const char *sample)
{
    struct answer answer = client_get(client, "/metrics");
    const char *at = strstr(answer.body, sample);
    ck_assert_msg(at != NULL, "there is no %s", sample);
    double value = strtod(at + strlen(sample), NULL);
    answer_deinit(&answer);
    return value;
}

#endif
