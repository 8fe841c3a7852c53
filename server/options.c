#include "server/options.h"

#include "pool/pool.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#ifndef SNAKEPIT_VERSION
#define SNAKEPIT_VERSION "unknown"
#endif

/* Each sets one option from text. Returns NULL, or what the text should have been. */
typedef const char *setter(struct options *options, const char *text);

static const char *set_port(struct options *options, const char *text)
{
    char *end = NULL;
    errno = 0;
    unsigned long port = isdigit((unsigned char)text[0]) ? strtoul(text, &end, 10) : 65536;
    if (port > 65535 || *end)
        return "HOST:PORT with a port from 0 to 65535";
    options->port = (uint16_t)port;
    return NULL;
}

static const char *set_listen(struct options *options, const char *text)
{
    const char *colon = strrchr(text, ':');
    const char *start = text;
    size_t len = colon ? (size_t)(colon - text) : 0;
    if (!colon)
        return "HOST:PORT";
    if (len >= 2 && text[0] == '[' && colon[-1] == ']') {
        start++;
        len -= 2;
    }
    if (len >= sizeof options->host)
        return "HOST:PORT with a shorter host";
    memcpy(options->host, start, len);
    options->host[len] = '\0';
    return set_port(options, colon + 1);
}

static const char *set_workers(struct options *options, const char *text)
{
    char *end = NULL;
    unsigned long workers = isdigit((unsigned char)text[0]) ? strtoul(text, &end, 10) : 0;
    if (workers < 1 || workers > POOL_MAX_WORKERS || *end)
        return "a number from 1 to 150";
    options->workers = (unsigned)workers;
    return NULL;
}

static const char *set_adapter(struct options *options, const char *text)
{
    options->adapter = text;
    return text[0] ? NULL : "MODULE or MODULE.CLASS";
}

static const char *set_preload(struct options *options, const char *text)
{
    options->preload = text;
    return NULL;
}

static const char *set_python(struct options *options, const char *text)
{
    options->python = text;
    return text[0] ? NULL : "a program";
}

static const char *set_log_level(struct options *options, const char *text)
{
    return log_level_parse(text, &options->log_level) ? NULL
                                                      : "debug, info, warning, error or none";
}

static const char *set_insecure(struct options *options, const char *text)
{
    bool yes = strcasecmp(text, "true") == 0 || strcmp(text, "1") == 0;
    options->insecure = yes;
    return yes || strcasecmp(text, "false") == 0 || strcmp(text, "0") == 0 ? NULL : "true or false";
}

/* The flag --some-name is also SNAKEPIT_SOME_NAME in the environment. */
static const struct option_row {
    const char *name;
    const char *value; /* what it takes, for the help; NULL: nothing, the flag says true */
    const char *help;
    setter *set;
} rows[] = {
    {"listen", "HOST:PORT", "where to listen (127.0.0.1:8080); port 0 takes a free one",
     set_listen},
    {"workers", "N", "Python processes (one for each processor)", set_workers},
    {"adapter", "MODULE.CLASS", "what to serve: a class, or a module of functions (the demo)",
     set_adapter},
    {"preload", "MODULE,…", "modules to import once, before the workers are forked", set_preload},
    {"python", "PROGRAM", "interpreter of the workers (the first that has grpc and protobuf)",
     set_python},
    {"log-level", "LEVEL", "debug, info, warning, error or none (info)", set_log_level},
    {"insecure", NULL, "allow to listen beyond this machine, without authentication", set_insecure},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static void print_help(void)
{
    printf("Usage: snakepit serve [OPTIONS]\n"
           "       snakepit --version | --help\n\n"
           "Serves Python functions over HTTP/1.1 and HTTP/2 from a pool of worker processes.\n\n"
           "Options (each also as an environment variable, --log-level as SNAKEPIT_LOG_LEVEL):\n");
    for (unsigned i = 0; i < ROWS; i++) {
        char flag[48];
        snprintf(flag, sizeof flag, "--%s %s", rows[i].name, rows[i].value ? rows[i].value : "");
        printf("  %-26s %s\n", flag, rows[i].help);
    }
}

static enum options_verdict wrong(const char *what, const char *name, const char *given,
                                  const char *expected)
{
    fprintf(stderr, "snakepit: %s%s%s%s%s%s; see snakepit --help\n", what, name,
            given ? " is \"" : "", given ? given : "", given ? "\", expected " : "",
            expected ? expected : "");
    return OPTIONS_WRONG;
}

static void variable_name(const struct option_row *row, char *out_name, size_t size)
{
    snprintf(out_name, size, "SNAKEPIT_%s", row->name);
    for (char *at = out_name; *at; at++)
        *at = *at == '-' ? '_' : (char)toupper((unsigned char)*at);
}

/* A variable that is set but empty counts as not set. */
static enum options_verdict read_environment(struct options *options)
{
    for (unsigned i = 0; i < ROWS; i++) {
        char name[48];
        variable_name(&rows[i], name, sizeof name);
        const char *text = getenv(name);
        const char *expected = text && text[0] ? rows[i].set(options, text) : NULL;
        if (expected)
            return wrong("", name, text, expected);
    }
    return OPTIONS_SERVE;
}

static const struct option_row *find_row(const char *name, size_t len)
{
    for (unsigned i = 0; i < ROWS; i++) {
        if (strlen(rows[i].name) == len && memcmp(rows[i].name, name, len) == 0)
            return &rows[i];
    }
    return NULL;
}

/* One argument, "--name value" or "--name=value"; moves `at` over what it used. */
static enum options_verdict read_flag(struct options *options, int count, char **arguments, int *at)
{
    const char *argument = arguments[(*at)++];
    const char *equals = strchr(argument, '=');
    size_t len = equals ? (size_t)(equals - argument) : strlen(argument);
    const struct option_row *row = len > 2 && argument[0] == '-' && argument[1] == '-'
                                       ? find_row(argument + 2, len - 2)
                                       : NULL;
    if (!row)
        return wrong("unknown argument ", argument, NULL, NULL);
    const char *text = equals ? equals + 1 : row->value ? NULL : "true";
    if (!text && *at < count)
        text = arguments[(*at)++];
    if (!text)
        return wrong("missing value of ", argument, NULL, NULL);
    const char *expected = row->set(options, text);
    return expected ? wrong("--", row->name, text, expected) : OPTIONS_SERVE;
}

/* A name could lead anywhere; "localhost" is the exception by RFC 6761. */
static bool is_loopback(const char *host)
{
    struct in_addr address;
    bool numeric = inet_pton(AF_INET, host, &address) == 1;
    return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
           (numeric && ntohl(address.s_addr) >> 24 == 127);
}

static enum options_verdict read_arguments(struct options *options, int count, char **arguments)
{
    if (count < 2 || strcmp(arguments[1], "serve") != 0)
        return wrong(count < 2 ? "missing command: snakepit serve" : "unknown command ",
                     count < 2 ? "" : arguments[1], NULL, NULL);
    for (int at = 2; at < count;) {
        enum options_verdict verdict = read_flag(options, count, arguments, &at);
        if (verdict != OPTIONS_SERVE)
            return verdict;
    }
    return OPTIONS_SERVE;
}

static bool asks_for(int count, char **arguments, const char *flag, const char *letter)
{
    for (int i = 1; i < count; i++) {
        if (strcmp(arguments[i], flag) == 0 || strcmp(arguments[i], letter) == 0)
            return true;
    }
    return false;
}

enum options_verdict options_read(int count, char **arguments, struct options *out_options)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    *out_options = (struct options){
        .host = "127.0.0.1",
        .port = 8080,
        .workers = processors < 1                  ? 1
                   : processors > POOL_MAX_WORKERS ? POOL_MAX_WORKERS
                                                   : (unsigned)processors,
        .adapter = "snakepit_bridge.demo.Demo",
        .preload = "",
        .log_level = LOG_INFO,
    };
    if (asks_for(count, arguments, "--help", "-h")) {
        print_help();
        return OPTIONS_DONE;
    }
    if (asks_for(count, arguments, "--version", "-V")) {
        puts("snakepit " SNAKEPIT_VERSION);
        return OPTIONS_DONE;
    }
    enum options_verdict verdict = read_environment(out_options);
    if (verdict == OPTIONS_SERVE)
        verdict = read_arguments(out_options, count, arguments);
    if (verdict == OPTIONS_SERVE && !out_options->insecure && !is_loopback(out_options->host))
        return wrong("listening on ", out_options->host, NULL,
                     " would let anyone run tools, since there is no authentication: add "
                     "--insecure if that is meant");
    return verdict;
}
