/* Which page of a list a query asks for. */
#ifndef SNAKEPIT_SERVER_REQUESTS_LISTING_H
#define SNAKEPIT_SERVER_REQUESTS_LISTING_H

#include "server/http/exchange.h"

enum { LISTING_MAX = 1000 };

struct listing {
    unsigned limit;     /* entries at most, 1 to LISTING_MAX */
    struct bytes after; /* the last entry of the page before, as the list names it; empty: none */
};

/* Reads `limit`, which is `usual` if it is not given, and `after`, of at most `after_max` bytes.
 * False: the query is wrong, and the exchange has been answered. */
bool listing_read(struct exchange *exchange, unsigned usual, unsigned after_max,
                  struct listing *out_listing) __attribute__((warn_unused_result));

/* Answers that `after` is none that the list gives. Returns false. */
bool listing_refuse_after(struct exchange *exchange);

#endif
