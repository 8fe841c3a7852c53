/* Media types, as far as we care. Pure functions. */
#ifndef SNAKEPIT_SERVER_HTTP_MEDIA_H
#define SNAKEPIT_SERVER_HTTP_MEDIA_H

#include "base/bytes.h"

#include <stdbool.h>

/* "application/json" or "…/…+json", with or without parameters, any case. */
bool media_is_json(struct bytes type);

/* At most 256 visible ASCII characters and spaces: what may be handed on. */
bool media_is_plain(struct bytes type);

/* Whether an Accept header allows `type` ("a/b", lower case), by name or by a wildcard. */
bool media_accepts(struct bytes accept, const char *type);

/* Whether an Accept header prefers `type` ("a/b", lower case) to `other`, by q-values; false when
 * it is absent or says nothing of `type` but through wildcards. */
bool media_prefers(struct bytes accept, const char *type, const char *other);

/* Cuts `rest`, a header's value, at the first `separator` and returns what was before it without
 * the white space around it. */
struct bytes media_cut(struct bytes *rest, char separator);

/* What may stand in a header of ours for a type that came from somewhere else: application/json if
 * it is empty, and application/octet-stream if it is none. */
struct bytes media_safe(struct bytes type);

#endif
