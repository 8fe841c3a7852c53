/* A file in the gateway's folder, in which tools of the test adapters say what they did. */
#ifndef SNAKEPIT_TESTS_API_LEDGER_H
#define SNAKEPIT_TESTS_API_LEDGER_H

#include "suite.h"

#include <stdio.h>
#include <string.h>

enum { LEDGER_SECONDS = 60, LEDGER_MAX = 65536 };

/* Of the gateway that was started last, after ledger_open(). */
static char ledger_path[128];

static inline void ledger_open(const struct gateway *of)
{
    snprintf(ledger_path, sizeof(ledger_path), "%s/ledger", gateway_folder(of));
}

/* Its text, valid until the next call. */
static inline const char *ledger_text(void)
{
    static char text[LEDGER_MAX];
    FILE *file = fopen(ledger_path, "re");
    size_t size = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
    text[size] = '\0';
    if (file)
        fclose(file);
    return text;
}

static inline bool ledger_has(const char *words)
{
    return strstr(ledger_text(), words) != NULL;
}

/* Returns the seconds it took. */
static inline double ledger_wait(const char *words)
{
    double begin = now_seconds();
    for (; !ledger_has(words); sleep_ms(1))
        ck_assert_msg(now_seconds() - begin < LEDGER_SECONDS, "\"%s\" never appeared", words);
    return now_seconds() - begin;
}

#endif
