/* libcurl, loaded only where there is something to send: the twenty libraries that it brings along
 * would cost every gateway 5 MiB of memory and 3 ms of its start. */
#ifndef SNAKEPIT_SERVER_OUTBOUND_LIBCURL_H
#define SNAKEPIT_SERVER_OUTBOUND_LIBCURL_H

#include <curl/curl.h>
#include <stdbool.h>

/* What we use of it: X(name) for each curl_name(). */
#define LIBCURL_FUNCTIONS(X)                                                                       \
    X(easy_cleanup)                                                                                \
    X(easy_getinfo)                                                                                \
    X(easy_init)                                                                                   \
    X(easy_setopt)                                                                                 \
    X(easy_strerror)                                                                               \
    X(free)                                                                                        \
    X(global_cleanup)                                                                              \
    X(global_init)                                                                                 \
    X(multi_add_handle)                                                                            \
    X(multi_assign)                                                                                \
    X(multi_cleanup)                                                                               \
    X(multi_info_read)                                                                             \
    X(multi_init)                                                                                  \
    X(multi_remove_handle)                                                                         \
    X(multi_setopt)                                                                                \
    X(multi_socket_action)                                                                         \
    X(slist_append)                                                                                \
    X(slist_free_all)                                                                              \
    X(url)                                                                                         \
    X(url_cleanup)                                                                                 \
    X(url_get)                                                                                     \
    X(url_set)

#define LIBCURL_MEMBER(name) __typeof__(curl_##name) *name;
struct libcurl {
    LIBCURL_FUNCTIONS(LIBCURL_MEMBER)
};
#undef LIBCURL_MEMBER

/* Loads and initialises it, before there are other threads. False: it is not there, which the log
 * says. It stays until the process ends. */
bool libcurl_load(struct libcurl *out_libcurl) __attribute__((warn_unused_result));

#endif
