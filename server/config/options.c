#include "server/config/options.h"

#include "server/config/config_schema.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef SNAKEPIT_VERSION
#define SNAKEPIT_VERSION "unknown"
#endif

enum { NAME_MAX_LEN = 160 };

static const char variable_prefix[] = "SNAKEPIT_";

/* --- help --- */

static void print_option(const char *name, const char *value, const char *help)
{
    char flag[64];
    snprintf(flag, sizeof flag, "--%s%s%s", name, value[0] ? " " : "", value);
    printf("  %-24s %s\n", flag, help);
}

static void print_help(void)
{
    printf("Usage: snakepit serve [OPTIONS]     serve Python functions over HTTP\n"
           "       snakepit config [OPTIONS]    print the configuration that this gives, with all "
           "its keys\n"
           "       snakepit --version | --help\n\n"
           "Options (each also in the environment, --log-level as SNAKEPIT_LOG_LEVEL; options "
           "win):\n");
    print_option("config", "FILE", "read this first, YAML; see \"snakepit config\"");
    print_option("listen", "HOST:PORT",
                 "where to listen (127.0.0.1:8080); port 0 takes a free one");
    print_option("workers", "N", "Python processes (one for each processor)");
    print_option("adapter", "MODULE.CLASS",
                 "what to serve: a class, or a module of functions (the demo)");
    print_option("preload", "MODULE,…", "modules to import once, before the workers are forked");
    print_option("python", "PROGRAM",
                 "interpreter of the workers (the first that has grpc and protobuf)");
    print_option("log-level", "LEVEL", "debug, info, warning, error or none (info)");
    print_option("insecure", "", "allow to listen beyond this machine, without authentication");
    printf("\nEvery key of the file is an option: http.body_limit is --http-body-limit, and "
           "max_workers of\nthe pool \"default\" is --pools-default-max-workers. --workers, "
           "--adapter and --preload mean the\npool \"default\", or the first.\n");
}

/* --- errors, one line each --- */

static enum options_verdict wrong(const char *place, const char *what)
{
    fprintf(stderr, "snakepit: %s %s; see snakepit --help\n", place, what);
    return OPTIONS_WRONG;
}

static enum options_verdict wrong_file(const char *path, const struct config_fault *fault)
{
    if (fault->line)
        fprintf(stderr, "%s:%u:%u: %s\n", path, fault->line, fault->column, fault->text);
    else
        fprintf(stderr, "snakepit: %s %s\n", path, fault->text);
    return OPTIONS_WRONG;
}

/* --- names --- */

/* --http-body-limit, HTTP_BODY_LIMIT: one from the other. */
static void flag_to_name(const char *flag, size_t len, char *out_name, size_t size)
{
    snprintf(out_name, size, "%.*s", (int)(len < size ? len : size - 1), flag);
    for (char *at = out_name; *at; at++)
        *at = isalnum((unsigned char)*at) ? (char)toupper((unsigned char)*at) : '_';
}

static void target_to_flag(const struct config_target *target, char *out_flag, size_t size)
{
    config_target_name(target, out_flag, size);
    for (char *at = out_flag; *at; at++)
        *at = *at == '_' ? '-' : (char)tolower((unsigned char)*at);
}

/* --- the environment --- */

/* A variable that is set but empty counts as not set. */
static enum options_verdict read_environment(struct config *config)
{
    struct config_target target;
    struct config_mark mark = {.given = true};
    struct config_fault fault;
    for (size_t i = 0; config_target_at(config, i, &target); i++) {
        char name[NAME_MAX_LEN], variable[NAME_MAX_LEN + sizeof variable_prefix];
        config_target_name(&target, name, sizeof name);
        snprintf(variable, sizeof variable, "%s%s", variable_prefix, name);
        const char *text = getenv(variable);
        if (text && text[0] && !config_set(config, &target, bytes_of(text), mark, &fault))
            return wrong(variable, fault.text);
    }
    return OPTIONS_SERVE;
}

/* A variable that is nearly one of ours, or means a pool, is a mistake; others are somebody
 * else's. */
static enum options_verdict check_variable(struct config *config, const char *variable)
{
    struct config_target target;
    char name[NAME_MAX_LEN], nearest[NAME_MAX_LEN], what[NAME_MAX_LEN + 80];
    const char *equals = strchr(variable, '=');
    size_t len = equals ? (size_t)(equals - variable) : 0;
    const size_t prefix_len = sizeof variable_prefix - 1;
    if (len <= prefix_len || len - prefix_len >= sizeof name || !equals[1] ||
        strncmp(variable, variable_prefix, prefix_len) != 0)
        return OPTIONS_SERVE;
    snprintf(name, sizeof name, "%.*s", (int)(len - prefix_len), variable + prefix_len);
    if (strcmp(name, "CONFIG") == 0 || config_find(config, name, &target) ||
        (!target.row && strncmp(name, "POOLS_", strlen("POOLS_")) != 0))
        return OPTIONS_SERVE;
    snprintf(what, sizeof what, "means no key of a pool that there is");
    if (target.row) {
        config_target_name(&target, nearest, sizeof nearest);
        snprintf(what, sizeof what, "means no key, did you mean %s%s?", variable_prefix, nearest);
    }
    snprintf(nearest, sizeof nearest, "%.*s", (int)len, variable);
    return wrong(nearest, what);
}

static enum options_verdict check_environment(struct config *config)
{
    enum options_verdict verdict = OPTIONS_SERVE;
    for (char **variable = environ; *variable && verdict == OPTIONS_SERVE; variable++)
        verdict = check_variable(config, *variable);
    return verdict;
}

/* --- the arguments --- */

static enum options_verdict wrong_flag(const char *argument, const struct config_target *nearest)
{
    char flag[NAME_MAX_LEN], what[NAME_MAX_LEN + 40] = "is no option";
    if (nearest->row) {
        target_to_flag(nearest, flag, sizeof flag);
        snprintf(what, sizeof what, "is no option, did you mean --%s?", flag);
    }
    return wrong(argument, what);
}

/* One argument, "--name value" or "--name=value", taken apart. */
struct flag {
    char name[NAME_MAX_LEN]; /* as in the environment; empty: it is no flag */
    const char *argument;
    const char *value; /* behind the =, or NULL */
};

static struct flag take_apart(const char *argument)
{
    struct flag flag = {.argument = argument};
    const char *equals = strchr(argument, '=');
    size_t len = equals ? (size_t)(equals - argument) : strlen(argument);
    if (len > 2 && argument[0] == '-' && argument[1] == '-')
        flag_to_name(argument + 2, len - 2, flag.name, sizeof flag.name);
    flag.value = equals ? equals + 1 : NULL;
    return flag;
}

/* Moves `at` over what it used. */
static enum options_verdict read_flag(struct config *config, int count, char **arguments, int *at)
{
    struct config_target target = {0};
    struct config_fault fault;
    char place[NAME_MAX_LEN] = "--config";
    struct flag flag = take_apart(arguments[(*at)++]);
    bool is_config = strcmp(flag.name, "CONFIG") == 0;
    if (!flag.name[0] || (!is_config && !config_find(config, flag.name, &target)))
        return wrong_flag(flag.argument, &target);
    const char *text = flag.value;
    if (!text && !is_config && target.row->kind == CONFIG_SWITCH)
        text = "true";
    if (!text && *at < count)
        text = arguments[(*at)++];
    if (!text)
        return wrong(flag.argument, "needs a value");
    if (is_config)
        return OPTIONS_SERVE;
    target_to_flag(&target, place + 2, sizeof place - 2);
    if (!config_set(config, &target, bytes_of(text), (struct config_mark){.given = true}, &fault))
        return wrong(place, fault.text);
    return OPTIONS_SERVE;
}

static enum options_verdict read_arguments(struct config *config, int count, char **arguments)
{
    enum options_verdict verdict = OPTIONS_SERVE;
    for (int at = 2; at < count && verdict == OPTIONS_SERVE;)
        verdict = read_flag(config, count, arguments, &at);
    return verdict;
}

/* --- the file --- */

/* The last --config there is, else the variable; NULL: none. Needs no configuration, since what the
 * other flags mean depends on the file. */
static const char *find_file(int count, char **arguments)
{
    const char *path = getenv("SNAKEPIT_CONFIG");
    for (int i = 2; i < count; i++) {
        struct flag flag = take_apart(arguments[i]);
        if (strcmp(flag.name, "CONFIG") == 0)
            path = flag.value ? flag.value : i + 1 < count ? arguments[i + 1] : NULL;
    }
    return path && path[0] ? path : NULL;
}

static bool asks_for(int count, char **arguments, const char *flag, const char *letter)
{
    for (int i = 1; i < count; i++) {
        if (strcmp(arguments[i], flag) == 0 || strcmp(arguments[i], letter) == 0)
            return true;
    }
    return false;
}

static enum options_verdict read_all(const char *path, int count, char **arguments,
                                     struct config *config)
{
    struct config_fault fault;
    if (path && !config_load(config, path, &fault))
        return wrong_file(path, &fault);
    if (config->pool_count == 0)
        config_add_pool(config);
    enum options_verdict verdict = read_environment(config);
    if (verdict == OPTIONS_SERVE)
        verdict = read_arguments(config, count, arguments);
    if (verdict == OPTIONS_SERVE)
        verdict = check_environment(config);
    if (verdict != OPTIONS_SERVE || config_finish(config, &fault))
        return verdict;
    if (fault.line)
        return wrong_file(path, &fault);
    fprintf(stderr, "snakepit: %s\n", fault.text);
    return OPTIONS_WRONG;
}

static enum options_verdict print_config(const struct config *config)
{
    struct buffer text = {0};
    config_write(config, &text);
    (void)fwrite(text.data, 1, text.len, stdout);
    buffer_deinit(&text);
    return OPTIONS_DONE;
}

enum options_verdict options_read(int count, char **arguments, struct config *out_config)
{
    config_init(out_config);
    if (asks_for(count, arguments, "--help", "-h")) {
        print_help();
        return OPTIONS_DONE;
    }
    if (asks_for(count, arguments, "--version", "-V")) {
        puts("snakepit " SNAKEPIT_VERSION);
        return OPTIONS_DONE;
    }
    if (count < 2)
        return wrong("a command", "is missing: snakepit serve");
    bool only_print = strcmp(arguments[1], "config") == 0;
    if (!only_print && strcmp(arguments[1], "serve") != 0)
        return wrong(arguments[1], "is no command, expected serve or config");
    enum options_verdict verdict =
        read_all(find_file(count, arguments), count, arguments, out_config);
    return verdict == OPTIONS_SERVE && only_print ? print_config(out_config) : verdict;
}
