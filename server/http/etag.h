/* Entity tags in conditional requests (RFC 9110, sections 8.8.3 and 13.1). */
#ifndef SNAKEPIT_SERVER_HTTP_ETAG_H
#define SNAKEPIT_SERVER_HTTP_ETAG_H

#include "base/bytes.h"

#include <stdbool.h>

enum etag_verdict {
    ETAG_MALFORMED, /* the header is neither * nor a list of tags */
    ETAG_DIFFERS,   /* nothing in it is the tag */
    ETAG_MATCHES,
};

/* What the value of an If-Match or If-None-Match says of `etag`, a strong tag with its quotes, or
 * empty: there is nothing that could have one. `weak`: a weak tag may match, too, as in
 * If-None-Match. A pure function. */
enum etag_verdict etag_match(struct bytes header, struct bytes etag, bool weak);

#endif
