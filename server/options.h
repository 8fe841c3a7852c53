/* The command line and its environment. */
#ifndef SNAKEPIT_SERVER_OPTIONS_H
#define SNAKEPIT_SERVER_OPTIONS_H

#include "base/log.h"

#include <stdbool.h>
#include <stdint.h>

struct options {
    char host[256];
    uint16_t port;
    unsigned workers;
    const char *adapter;
    const char *preload;
    const char *python; /* NULL: find one */
    enum log_level log_level;
    bool insecure; /* listen beyond loopback although nobody is asked who they are */
};

enum options_verdict {
    OPTIONS_SERVE, /* go on */
    OPTIONS_DONE,  /* help or version was asked for and printed */
    OPTIONS_WRONG, /* one line was printed to standard error */
};

/* Reads the environment, then the arguments, which win. Strings are borrowed from them. Before
 * there are threads. */
enum options_verdict options_read(int count, char **arguments, struct options *out_options);

#endif
