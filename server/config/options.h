/* The command line and its environment, around the configuration. */
#ifndef SNAKEPIT_SERVER_CONFIG_OPTIONS_H
#define SNAKEPIT_SERVER_CONFIG_OPTIONS_H

#include "server/config/config.h"

enum options_verdict {
    OPTIONS_SERVE, /* go on */
    OPTIONS_DONE,  /* what was asked for has been printed */
    OPTIONS_WRONG, /* one line was printed to standard error */
};

/* Reads the file that --config or SNAKEPIT_CONFIG names, then the environment, then the arguments;
 * the last one wins. Before there are threads. The configuration is the caller's, to be
 * deinitialised whatever the verdict. */
enum options_verdict options_read(int count, char **arguments, struct config *out_config);

#endif
